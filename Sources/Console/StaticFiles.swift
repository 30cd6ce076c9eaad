import Crypto
import Foundation
import HTTPTypes
import Hummingbird

/// The web pages, read into memory once.
///
/// A request can only name a key of this table, so no path can lead out of the folder, and what is
/// served is what was there at the start.
package struct StaticFiles: Sendable {
  /// One file, ready to send.
  struct File: Sendable {
    var body: ByteBuffer
    var mediaType: String
    var tag: String
  }

  /// Largest file that is taken in; the pages are far below it.
  static let maximumFileBytes = 2_000_000

  private static let mediaTypes = [
    "html": "text/html; charset=utf-8", "js": "text/javascript; charset=utf-8",
    "css": "text/css; charset=utf-8", "json": "application/json",
    "svg": "image/svg+xml", "png": "image/png", "ico": "image/x-icon",
    "webmanifest": "application/manifest+json", "yaml": "application/yaml",
    "txt": "text/plain; charset=utf-8", "wav": "audio/wav",
  ]

  private var files: [String: File] = [:]

  /// Reads every servable file of `folder`; its place below the folder becomes its path below `prefix`.
  package mutating func add(folder: String, below prefix: String) throws(ConsoleError) {
    let root = URL(fileURLWithPath: folder, isDirectory: true).standardizedFileURL
    let names: [String]
    do {
      names = try FileManager.default.subpathsOfDirectory(atPath: root.path)
    } catch {
      throw .resources(folder: folder, reason: "\(error.localizedDescription)")
    }
    for name in names.sorted()
    where !name.split(separator: "/").contains(where: { $0.first == "." }) {
      let url = root.appendingPathComponent(name)
      guard let mediaType = Self.mediaTypes[url.pathExtension.lowercased()] else { continue }
      let data: Data
      do {
        data = try Data(contentsOf: url)
      } catch {
        throw .resources(folder: folder, reason: "\(name): \(error.localizedDescription)")
      }
      guard data.count <= Self.maximumFileBytes else {
        throw .resources(
          folder: folder,
          reason: "\(name) is larger than \(Self.maximumFileBytes) bytes"
        )
      }
      let digest = SHA256.hash(data: data).prefix(12).map { byte in
        let digits = String(byte, radix: 16)
        return byte < 16 ? "0" + digits : digits
      }
      files[prefix + name] = File(
        body: ByteBuffer(bytes: data),
        mediaType: mediaType,
        tag: "\"\(digest.joined())\""
      )
    }
  }

  /// Whether there is a file at a path.
  package func contains(_ path: String) -> Bool { files[path] != nil }

  /// The paths served.
  package var paths: [String] { files.keys.sorted() }

  /// The bytes of a file.
  func body(of path: String) -> ByteBuffer? { files[path]?.body }

  /// The file at a path as an answer; nil where there is none.
  func response(to request: Request, path: String) -> Response? {
    guard let file = files[path] else { return nil }
    // `no-cache` lets a browser keep the file but makes it ask: a changed page is seen at once.
    var headers: HTTPFields = [.eTag: file.tag, .cacheControl: "no-cache"]
    if request.knows(file.tag) { return Response(status: .notModified, headers: headers) }
    headers[.contentType] = file.mediaType
    return Response(status: .ok, headers: headers, body: ResponseBody(byteBuffer: file.body))
  }
}

/// Finds the folder of the files that were built with the program.
enum BuiltInResources {
  /// The folder: beside the executable, in its `share` folder, or where the build left it.
  static func folder() -> String {
    let executable = URL(fileURLWithPath: CommandLine.arguments.first ?? "")
      .resolvingSymlinksInPath().deletingLastPathComponent()
    let candidates = [
      executable.appendingPathComponent("davy_Console.resources/Resources"),
      executable.deletingLastPathComponent().appendingPathComponent("share/davy/console"),
    ]
    for candidate in candidates
    where FileManager.default.fileExists(
      atPath: candidate.appendingPathComponent("web/index.html").path
    ) {
      return candidate.path
    }
    return Bundle.module.bundleURL.appendingPathComponent("Resources").path
  }
}
