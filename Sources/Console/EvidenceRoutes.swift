import Crypto
import Foundation
import HTTPTypes
import HazardLedger
import Hummingbird
import NIOCore
import Station
import Synchronization

/// Evidence files: kept beside the ledger by the hash of their contents, which is what the ledger holds.
struct EvidenceRoutes: Sendable {
  let station: any StationAccess
  let commands: DeskCommands
  let hazards: HazardRoutes
  let store: EvidenceStore?
  let maximumBytes: Int
  private let uploads = UploadCount()

  /// Uploads at one time; each holds its file in memory.
  static let maximumUploads = 4

  init(
    station: any StationAccess,
    commands: DeskCommands,
    hazards: HazardRoutes,
    options: ConsoleOptions
  ) {
    self.station = station
    self.commands = commands
    self.hazards = hazards
    store = hazards.evidence
    maximumBytes = options.maximumEvidenceBytes
  }

  /// `POST /api/v1/hazards/{id}/evidence?name=…&actor=…&role=…`: the body is the file.
  func upload(_ request: Request, _ context: ConsoleContext) async throws -> Response {
    try request.refuseOtherParameters(than: ["name", "actor", "role", "enterprise", "reason"])
    guard let store else {
      throw Problem(.notImplemented, "no-evidence", "this station has no folder for evidence")
    }
    let id = try context.pathParameter("id")
    guard let name = try request.parameter("name"), name.count <= 200,
      !name.unicodeScalars.contains(where: { $0.value < 0x20 || $0 == "/" || $0 == "\\" })
    else { throw Problem.parameter("name", "must be the file's name, 1 to 200 characters") }
    var members: [String: HazardLedger.JSONValue] = ["act": "attach", "hazard": .string(id)]
    for key in ["actor", "role", "enterprise", "reason"] {
      if let value = try request.parameter(key) { members[key] = .string(value) }
    }
    // Before the file is taken in: one that is kept stays, also where whoever sent it has no part in hazards.
    let place = try await hazards.place(of: id, context)
    try context.identify(&members, at: place, isOfHazard: true)
    guard uploads.begin(atMost: Self.maximumUploads) else {
      throw Problem(
        .serviceUnavailable,
        "busy",
        "\(Self.maximumUploads) files are being taken already",
        retryAfter: 2
      )
    }
    defer { uploads.end() }
    let buffer: ByteBuffer
    do {
      buffer = try await request.body.collect(upTo: maximumBytes)
    } catch is NIOTooManyBytesError {
      throw Problem(
        .contentTooLarge,
        "too-large",
        "a file of evidence has at most \(maximumBytes >> 20) MiB"
      )
    }
    guard buffer.readableBytes > 0 else {
      throw Problem(.unprocessableContent, "incomplete", "the file is empty")
    }
    // Kept before it is entered: what the ledger names must be there.
    let digest = try await BlockingWork.run { try store.keep(Data(buffer.readableBytesView)) }
    members["evidence"] = .array([.object(["name": .string(name), "sha256": .string(digest)])])
    let body = try await commands.submit(
      "act",
      HazardLedger.JSONValue.object(members).canonicalBytes()
    ) { writer, _ in
      writer.member("hazard", id)
      writer.member("name", name)
      writer.member("sha256", digest)
    }
    return Response(json: body, status: .created)
  }

  /// `GET /api/v1/hazards/{id}/evidence/{sha256}`: only what this hazard's entries name.
  func download(_ request: Request, _ context: ConsoleContext) async throws -> Response {
    try request.refuseOtherParameters(than: [])
    let id = try context.pathParameter("id")
    let digest = try context.pathParameter("sha256")
    let scope = try context.scope
    let found = try await BlockingWork.run { [station, store] in
      let hazard = try ScopedLedger(station.ledger, scope: scope).hazard(id: id)
      let evidence = hazard?.evidence.last { $0.sha256 == digest }
      return (evidence, try evidence.flatMap { _ in try store?.read(digest) })
    }
    guard let evidence = found.0 else {
      throw Problem(.notFound, "unknown-evidence", "the hazard \(id) names no file \(digest)")
    }
    guard let data = found.1 else {
      throw Problem(
        .gone,
        "evidence-gone",
        "\(evidence.name) is in the ledger by its hash, but not in this station's folder"
      )
    }
    let name =
      evidence.name.addingPercentEncoding(withAllowedCharacters: .alphanumerics) ?? "evidence"
    return Response(
      status: .ok,
      headers: [
        // Never shown as a page: an attachment of no particular kind.
        .contentType: "application/octet-stream",
        .contentDisposition: "attachment; filename*=UTF-8''\(name)",
        // A duty room's browser is shared: whoever signs in next may not be shown this.
        .cacheControl: "no-store",
      ],
      body: ResponseBody(byteBuffer: ByteBuffer(bytes: data))
    )
  }
}

/// How many uploads are under way.
private final class UploadCount: Sendable {
  private let count = Mutex(0)

  func begin(atMost limit: Int) -> Bool {
    count.withLock { count in
      guard count < limit else { return false }
      count += 1
      return true
    }
  }

  func end() { count.withLock { $0 -= 1 } }
}

/// Files by the SHA-256 of their contents.
struct EvidenceStore: Sendable {
  let folder: String

  /// Keeps a file; one that is there already is left as it is.
  ///
  /// - Returns: its SHA-256, lower-case hexadecimal.
  func keep(_ data: Data) throws -> String {
    let digest = [UInt8](SHA256.hash(data: data)).hex
    let target = file(digest)
    if FileManager.default.fileExists(atPath: target.path) { return digest }
    let parent = target.deletingLastPathComponent()
    try FileManager.default.createDirectory(at: parent, withIntermediateDirectories: true)
    let part = parent.appendingPathComponent("\(digest).\(UUID().uuidString).part")
    guard FileManager.default.createFile(atPath: part.path, contents: nil) else {
      throw CocoaError(.fileWriteUnknown, userInfo: [NSFilePathErrorKey: part.path])
    }
    let handle = try FileHandle(forWritingTo: part)
    try handle.write(contentsOf: data)
    try handle.synchronize()
    try handle.close()
    guard unsafe rename(part.path, target.path) == 0 else {
      throw POSIXError(POSIXErrorCode(rawValue: errno) ?? .EIO)
    }
    return digest
  }

  /// The file with this hash; nil where it is not there or no longer what its name says.
  func read(_ digest: String) throws -> Data? {
    let url = file(digest)
    guard FileManager.default.fileExists(atPath: url.path) else { return nil }
    let data = try Data(contentsOf: url)
    return [UInt8](SHA256.hash(data: data)).hex == digest ? data : nil
  }

  /// False where a digest has no file here; what is no digest is told by the desk.
  func mayHold(_ digest: String) -> Bool {
    let isDigest = digest.utf8.count == 64 && [UInt8](hex: digest) != nil
    return !isDigest || FileManager.default.fileExists(atPath: file(digest).path)
  }

  private func file(_ digest: String) -> URL {
    URL(fileURLWithPath: folder).appendingPathComponent(String(digest.prefix(2)))
      .appendingPathComponent(digest)
  }
}
