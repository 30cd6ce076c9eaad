import DeviceCatalog
import HazardLedger
import Telemetry

private typealias Value = HazardLedger.JSONValue

extension HazardLedger.JSONValue {
  /// The text of a member that must be there.
  func needed(_ name: String) throws(ActError) -> String {
    guard let text = self[name]?.text, !text.isEmpty, text.utf8.count <= 1_024 else {
      throw .incomplete("\(name): missing")
    }
    return text
  }

  fileprivate func whole(_ name: String) throws(ActError) -> Int64 {
    guard let value = self[name]?.wholeNumber else {
      throw .incomplete("\(name): a whole number is missing")
    }
    return value
  }

  /// A moment, ms since 1970: one before that or after 2200 is a mistake, and reckoning with it could overflow.
  func time(_ name: String) throws(ActError) -> Int64 {
    let value = try whole(name)
    guard (0...7_258_118_400_000).contains(value) else {
      throw .incomplete("\(name): milliseconds since 1970, before the year 2200")
    }
    return value
  }

  fileprivate func optionalTime(_ name: String) throws(ActError) -> Int64? {
    self[name]?.wholeNumber == nil ? nil : try time(name)
  }

  fileprivate func day(_ name: String) throws(ActError) -> CalendarDate {
    let text = try needed(name)
    guard let day = CalendarDate(text) else {
      throw .incomplete("\(name): \(text) is not a day, YYYY-MM-DD")
    }
    return day
  }

  fileprivate func texts(_ name: String) throws(ActError) -> [String] {
    guard let elements = self[name]?.elements else { throw .incomplete("\(name): missing") }
    let texts = elements.compactMap(\.text)
    guard texts.count == elements.count, texts.count <= 1_000 else {
      throw .incomplete("\(name): must be a list of texts")
    }
    return texts
  }

  fileprivate func refuseOthers(than known: Set<String>) throws(ActError) {
    for name in (members ?? [:]).keys.sorted() where !known.contains(name) {
      throw .incomplete(
        "\(name) is not known here; known: \(known.sorted().joined(separator: ", "))"
      )
    }
  }

  fileprivate func position() -> Coordinates? {
    guard let pair = elements, pair.count == 2, let longitude = pair[0].double,
      let latitude = pair[1].double
    else { return nil }
    return Coordinates(longitude: longitude, latitude: latitude)
  }
}

extension WeldingState {
  /// Reads an entry of the register and holds it against the rest.
  func entry(
    _ part: WeldingRegisterPart,
    _ id: String,
    _ value: HazardLedger.JSONValue,
    enterprise: String
  ) throws(ActError) -> RegisterChange {
    guard id.utf8.count <= 128, !id.contains(where: { "/#+@\0".contains($0) }) else {
      throw .incomplete("id: at most 128 characters, none of / # + @")
    }
    switch part {
    case .machines: return RegisterChange(machine: try machine(id, value, enterprise))
    case .welders:
      try value.refuseOthers(
        than: ["name", "certificate", "category", "validFrom", "validUntil", "reviewBy"])
      return RegisterChange(
        welder: WeldingRegister.Welder(
          id: id,
          name: try value.needed("name"),
          certificate: try value.needed("certificate"),
          category: value["category"]?.text ?? WeldingRegister.Welder.weldingCategory,
          validFrom: try value.day("validFrom"),
          validUntil: try value.day("validUntil"),
          reviewBy: value["reviewBy"]?.text == nil ? nil : try value.day("reviewBy")
        )
      )
    case .permits: return RegisterChange(permit: try permit(id, value, enterprise))
    case .bans:
      try value.refuseOthers(than: ["reason", "from", "until"])
      let ban = WeldingRegister.BannedPeriod(
        id: id,
        reason: try value.needed("reason"),
        from: try value.time("from"),
        until: try value.time("until")
      )
      guard ban.from < ban.until else { throw .incomplete("until: must be later than from") }
      return RegisterChange(ban: ban)
    case .commitments:
      try value.refuseOthers(than: ["hotWorks"])
      guard let day = CalendarDate(id) else {
        throw .incomplete("id: \(id) is not a day, YYYY-MM-DD")
      }
      let count = try value.whole("hotWorks")
      guard (0...10_000).contains(count) else { throw .incomplete("hotWorks: from 0 to 10000") }
      return RegisterChange(
        commitment: WeldingRegister.Commitment(day: day, hotWorks: Int(count))
      )
    }
  }

  private func machine(
    _ id: String,
    _ value: HazardLedger.JSONValue,
    _ enterprise: String
  ) throws(ActError) -> WeldingRegister.Machine {
    try value.refuseOthers(than: ["code", "chip", "barred", "normalCurrent", "commandTopic"])
    guard frame.rowOfKey["\(enterprise)/\(id)"] != nil else {
      throw .refused("the catalog has no welding machine \(id)", code: "unknown")
    }
    let code = try value.needed("code")
    if let other = books[enterprise]?.machine(code: code), other.device != id {
      throw .refused("code \(code) belongs to \(other.device)", code: "duplicate")
    }
    let normal = value["normalCurrent"]?.elements?.compactMap(\.double)
    if let normal {
      guard normal.count == 2, normal[0] <= normal[1] else {
        throw .incomplete("normalCurrent: [least, largest] in A")
      }
    }
    let topic = value["commandTopic"]?.text
    if let topic {
      // The same guard as for answers: a command topic lies below its own enterprise.
      guard topic.hasPrefix("davy/v1/\(enterprise)/"), topic.contains("/commands/"),
        !topic.contains(where: { "+#\0".contains($0) })
      else {
        throw .incomplete("commandTopic: davy/v1/\(enterprise)/…/commands/…, without wildcards")
      }
    }
    return WeldingRegister.Machine(
      device: id,
      code: code,
      chip: try value.needed("chip"),
      barred: value["barred"]?.text,
      normalCurrent: normal,
      commandTopic: topic
    )
  }

  private func permit(
    _ id: String,
    _ value: HazardLedger.JSONValue,
    _ enterprise: String
  ) throws(ActError) -> WeldingRegister.Permit {
    try value.refuseOthers(than: [
      "kind", "class", "assessed", "machines", "welders", "fence", "area", "from", "until",
      "gasTestedAt", "guardian", "video", "finishedAt", "clearedAt", "outdoor",
    ])
    guard let kind = WeldingRegister.Permit.Kind(rawValue: try value.needed("kind")) else {
      throw .incomplete("kind: ticket or declaration")
    }
    func hotWorkClass(_ name: String) throws(ActError) -> WeldingRegister.HotWorkClass {
      guard let found = WeldingRegister.HotWorkClass(rawValue: try value.needed(name)) else {
        throw .incomplete("\(name): special, first or second")
      }
      return found
    }
    let approved = try hotWorkClass("class")
    let assessed = value["assessed"] == nil ? approved : try hotWorkClass("assessed")
    var fence: [Coordinates] = []
    if let area = value["area"]?.text {
      guard let found = frame.enterprises[enterprise]?.fences[area] else {
        throw .refused("there is no area \(area) (site/area)", code: "unknown")
      }
      fence = found
    } else {
      let corners = value["fence"]?.elements ?? []
      fence = corners.compactMap { $0.position() }
      guard fence.count == corners.count, corners.count <= 1_000 else {
        throw .incomplete("fence: a list of [longitude, latitude]")
      }
    }
    let permit = WeldingRegister.Permit(
      id: id,
      kind: kind,
      hotWorkClass: approved,
      assessedClass: assessed,
      machines: try value.texts("machines"),
      welders: try value.texts("welders"),
      fence: fence,
      isOutdoor: value["outdoor"]?.truth ?? false,
      from: try value.time("from"),
      until: try value.time("until"),
      gasTestedAt: try value.optionalTime("gasTestedAt"),
      guardian: value["guardian"]?.text,
      video: value["video"]?.text,
      finishedAt: try value.optionalTime("finishedAt"),
      clearedAt: try value.optionalTime("clearedAt")
    )
    if let policy = frame.enterprises[enterprise]?.welding.policy,
      let fault = books[enterprise]?.fault(of: permit, policy: policy)
    {
      throw .refused(fault.text.en, code: "permit")
    }
    return permit
  }
}

extension RegisterChange {
  /// The entry as the API and the ledger write it; nil for one that was removed.
  var json: HazardLedger.JSONValue? {
    machine?.json ?? welder?.json ?? permit?.json ?? ban?.json
      ?? commitment.map { .object(["hotWorks": .integer(Int64($0.hotWorks))]) }
  }
}

extension HazardLedger.JSONValue {
  fileprivate init(_ text: String?) { self = text.map(Self.string) ?? .null }
  fileprivate init(_ number: Int64?) { self = number.map(Self.integer) ?? .null }
}

extension WeldingRegister.Machine {
  /// As the API and the ledger write it.
  var json: HazardLedger.JSONValue {
    .object([
      "barred": Value(barred), "chip": .string(chip), "code": .string(code),
      "commandTopic": Value(commandTopic),
      "normalCurrent": normalCurrent.map { .array($0.map(Value.number)) } ?? .null,
    ])
  }
}

extension WeldingRegister.Welder {
  /// As the API and the ledger write it.
  var json: HazardLedger.JSONValue {
    .object([
      "category": .string(category), "certificate": .string(certificate), "name": .string(name),
      "reviewBy": Value(reviewBy.map { "\($0)" }), "validFrom": .string("\(validFrom)"),
      "validUntil": .string("\(validUntil)"),
    ])
  }
}

extension WeldingRegister.Permit {
  /// As the API and the ledger write it.
  var json: HazardLedger.JSONValue {
    .object([
      "assessed": .string(assessedClass.rawValue), "class": .string(hotWorkClass.rawValue),
      "clearedAt": Value(clearedAt),
      "fence": .array(fence.map { .array([.number($0.longitude), .number($0.latitude)]) }),
      "finishedAt": Value(finishedAt), "from": .integer(from), "gasTestedAt": Value(gasTestedAt),
      "guardian": Value(guardian), "kind": .string(kind.rawValue),
      "machines": .array(machines.map(Value.string)), "outdoor": .bool(isOutdoor),
      "until": .integer(until), "video": Value(video),
      "welders": .array(welders.map(Value.string)),
    ])
  }
}

extension WeldingRegister.BannedPeriod {
  /// As the API and the ledger write it.
  var json: HazardLedger.JSONValue {
    .object(["from": .integer(from), "reason": .string(reason), "until": .integer(until)])
  }
}
