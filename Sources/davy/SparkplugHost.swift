import DeviceCatalog
import Foundation
import Logging
import MQTTTransport
import PayloadDecoding

/// Says on `spBv1.0/STATE/{station}` that this Sparkplug host is there, for edge nodes that publish only while their
/// primary host is.
///
/// The state is retained, and the broker's Last Will takes it back when the service is gone. Both carry one time stamp,
/// that of the start, as Sparkplug 3.0 has it (a node ignores an offline state older than the online one).
struct SparkplugHost {
  private let client: PublishClient

  /// Connects when the catalog has a Sparkplug route and the service publishes at all; nil otherwise.
  init?(_ loaded: LoadedConfiguration, logger: Logger) throws {
    let isHost = loaded.catalog.decodingPlan.routes.contains { route in
      if case .sparkplugB = route.format { true } else { false }
    }
    guard isHost, loaded.service.publishes else { return nil }
    let now = Int64(Date().timeIntervalSince1970 * 1_000)
    func state(_ isOnline: Bool) -> [UInt8] {
      Array("{\"online\":\(isOnline),\"timestamp\":\(now)}".utf8)
    }
    client = try PublishClient(
      options: loaded.mqttOptions(role: "host"),
      status: StatusTopic(
        topic: "spBv1.0/STATE/\(loaded.service.station)",
        online: state(true),
        offline: state(false),
        stopped: state(false)
      ),
      logger: logger
    )
  }

  /// Says that the host is gone.
  func stop() { client.stop() }
}
