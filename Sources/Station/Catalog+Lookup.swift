import AlarmEngine
public import DeviceCatalog
import PayloadDecoding

extension Catalog {
  /// Row of the point with this path.
  public func channelRow(ofPoint path: String) -> Int? {
    channels.firstIndex { $0.path == path }
  }

  /// Row of the rule that an alarm's name speaks of.
  func ruleRow(of name: AlarmName) -> Int? {
    guard let channel = channelRow(ofPoint: name.point) else { return nil }
    return rules.firstIndex { $0.channel == UInt32(channel) && $0.id == name.rule }
  }

  /// Replay sources as `enterprise/gateway`, in file order.
  var replaySources: [String] {
    enterprises.flatMap { enterprise in
      enterprise.gateways.filter(\.isReplaySource).map { "\(enterprise.id)/\($0.id)" }
    }
  }

  /// For each channel its row in ``replaySources``, or -1 for a live one.
  var laneOfChannels: [Int32] {
    let sources = replaySources
    guard !sources.isEmpty else { return Array(repeating: -1, count: channels.count) }
    return enginePlan.channels.indices.map { row in
      let device = devices[Int(enginePlan.channels[row].device)]
      let source = "\(channels[row].enterprise)/\(device.gateway)"
      return sources.firstIndex(of: source).map(Int32.init) ?? -1
    }
  }

  /// The enterprise that a topic belongs to; nil where no route says.
  public func enterprise(ofTopic topic: String) -> String? {
    owner(ofTopic: Array(topic.utf8)).map { String($0.prefix { $0 != "/" }) }
  }

  /// The `enterprise/gateway` that a topic belongs to, by the first route that fits; nil where none does or the
  /// topic does not say.
  func owner(ofTopic topic: [UInt8]) -> String? {
    for route in decodingPlan.routes {
      guard let values = route.template.match(topic) else { continue }
      var captured: [String: String] = [:]
      for (name, value) in zip(route.template.captures, values) {
        captured[name] = String(decoding: value, as: UTF8.self)
      }
      guard let enterprise = route.enterprise ?? captured["enterprise"],
        let gateway = route.gateway ?? captured["gateway"]
      else { return nil }
      return "\(enterprise)/\(gateway)"
    }
    return nil
  }
}
