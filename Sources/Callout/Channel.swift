/// A way to reach people outside Davy's own console: a webhook, a chat group, mail, a text message.
public protocol Channel: Sendable {
  /// The channel's name in the service file.
  var name: String { get }
}
