import Foundation
package import NIOCore

/// Why the HTTP server cannot have its address: place, key of the service file and remedy.
package struct ListeningFault: Error, CustomStringConvertible {
  /// What happened, where, and what to do.
  package let description: String

  /// Reads what the operating system said; nil when it is about something else than an address.
  ///
  /// - Parameters:
  ///   - error: what it said.
  ///   - host: `http.host` of the service file.
  ///   - port: `http.port` of the service file.
  package init?(_ error: IOError, host: String, port: Int) {
    let place = "\(host):\(port)"
    switch error.errnoCode {
    case EADDRINUSE:
      description = """
        \(place) is in use by another program; give http.port of the service file another port (0 takes a free one), \
        or stop the other: ss -ltnp 'sport = :\(port)' / \
        \(place) 已被其他程序占用：修改服务文件的 http.port（0 取空闲端口），或停掉占用者
        """
    case EADDRNOTAVAIL:
      description = """
        this machine has no address \(host); give http.host of the service file one of its own / \
        本机没有地址 \(host)：在服务文件的 http.host 写本机的地址
        """
    case EACCES:
      description = """
        \(place) is not allowed to this user; give http.port of the service file a port from 1024 on, or the service \
        the capability CAP_NET_BIND_SERVICE / \
        当前用户无权使用 \(place)：http.port 用 1024 及以上的端口，或授予 CAP_NET_BIND_SERVICE
        """
    default: return nil
    }
  }
}
