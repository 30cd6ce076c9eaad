import Glibc

/// Milliseconds of the monotonic clock: for waits only, never for what is recorded.
func monotonicMilliseconds() -> Int64 {
  var time = timespec()
  unsafe clock_gettime(CLOCK_MONOTONIC, &time)
  return Int64(time.tv_sec) * 1_000 + Int64(time.tv_nsec) / 1_000_000
}

extension Duration {
  /// Whole milliseconds, at least 1 for anything above zero, at most what `poll` takes.
  var milliseconds: Int64 {
    let (seconds, attoseconds) = components
    guard seconds < 2_000_000 else { return 2_000_000_000 }
    return seconds * 1_000 + (attoseconds + 999_999_999_999_999) / 1_000_000_000_000_000
  }
}

/// Waits until one of the descriptors is ready; tells which are.
func waitForEvents(_ descriptors: inout [pollfd], milliseconds: Int64) {
  let timeout = Int32(clamping: max(0, milliseconds))
  let count = unsafe descriptors.withUnsafeMutableBufferPointer { buffer in
    unsafe poll(buffer.baseAddress, nfds_t(buffer.count), timeout)
  }
  // A signal, or anything else that ends the wait early, counts as nothing ready.
  guard count < 0 else { return }
  for index in descriptors.indices { descriptors[index].revents = 0 }
}
