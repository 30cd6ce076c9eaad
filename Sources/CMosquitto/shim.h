#pragma once
#include <errno.h>
#include <linux/sockios.h>
#include <mosquitto.h>
#include <mqtt_protocol.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdbool.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>

/// Reads at most one packet. `*would_block` tells whether the last read found the socket empty.
///
/// errno is looked at here, before any Swift code runs. It may also be left at EAGAIN by the
/// library's wake-up pair when a packet *was* handled, so it means "drained" only when no callback ran.
static inline int cmosquitto_loop_read(struct mosquitto *m, bool *would_block) {
  errno = 0;
  int rc = mosquitto_loop_read(m, 1);
  *would_block = errno == EAGAIN || errno == EWOULDBLOCK;
  return rc;
}

/// How many bytes written to a socket the other side has not confirmed yet; -1 when that is not to be had.
static inline int cmosquitto_unsent(int socket) {
  int count = 0;
  return ioctl(socket, SIOCOUTQ, &count) == 0 ? count : -1;
}

/// Refuses protocol versions below `version` (a macro in OpenSSL, so Swift cannot call it).
static inline long cmosquitto_tls_minimum(SSL_CTX *context, int version) {
  return SSL_CTX_set_min_proto_version(context, version);
}

/// Lets an unfinished SSL_write be repeated from a copy of its bytes (a macro in OpenSSL).
static inline long cmosquitto_tls_moving_buffer(SSL_CTX *context) {
  return SSL_CTX_set_mode(context, SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
}
