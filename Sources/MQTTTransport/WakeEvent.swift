import CMosquitto
import Glibc

/// Something to wait for at a descriptor, set from any thread.
final class WakeEvent: Sendable {
  /// Readable while the event is set; -1 when the process has no descriptor left.
  let descriptor = eventfd(0, Int32(EFD_CLOEXEC | EFD_NONBLOCK))

  deinit { if descriptor >= 0 { close(descriptor) } }

  func set() { eventfd_write(descriptor, 1) }

  func clear() {
    var count: eventfd_t = 0
    unsafe eventfd_read(descriptor, &count)
  }
}
