/* The load of tools/bench-ingest: MQTT 3.1.1 over a raw socket, written and read in batches.
 *
 * usage: load_publisher PORT TOPIC QOS COUNT READINGS DEVICES RATE ALARM_EVERY
 *
 * Publishes COUNT messages in Davy JSON with READINGS readings each, from DEVICES devices "d0000" on, point
 * "ch4". One reading a message is padded to 100 bytes, 50 make about 4 kB.
 *   RATE 0          closed loop at QoS 1: at most 2,000 unacknowledged; at QoS 0 as fast as TCP takes it
 *   RATE n          open loop, n messages a second
 *   ALARM_EVERY n   every n-th message starts or ends an alarm (value 30 or 1); the publisher subscribes to
 *                   davy/v1/alarms/# and measures from publish to the arrival of the alarm; 0: none
 * Prints one JSON object.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define WINDOW 2000
#define MAXIMUM_DEVICES 100000
#define MAXIMUM_ALARMS 1000000

static int sock;
static char out[1 << 20], in[1 << 20];
static size_t out_size, in_size;
static long acknowledged, alarms_seen, alarms_sent;
static int64_t last_t[MAXIMUM_DEVICES];
static char is_high[MAXIMUM_DEVICES];
/* When the message of an alarm was published, by its event time, which no other alarm has. */
static struct { int64_t t; double published; } sent[MAXIMUM_ALARMS];
static double latency[MAXIMUM_ALARMS];

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec + t.tv_nsec / 1e9;
}

static int64_t wall(void) {
  struct timespec t;
  clock_gettime(CLOCK_REALTIME, &t);
  return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void fail(const char *what) {
  fprintf(stderr, "load_publisher: %s: %s\n", what, strerror(errno));
  exit(1);
}

static void flush(int wait) {
  size_t at = 0;
  while (at < out_size) {
    ssize_t n = send(sock, out + at, out_size - at, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n < 0 && errno == EAGAIN) {
      if (!wait) break;
      struct pollfd p = {sock, POLLOUT, 0};
      poll(&p, 1, 1000);
      continue;
    }
    if (n < 0) fail("send");
    at += n;
  }
  memmove(out, out + at, out_size - at);
  out_size -= at;
}

static size_t put_length(char *to, size_t length) {
  size_t n = 0;
  do {
    to[n] = length & 127;
    length >>= 7;
    if (length) to[n] |= 128;
    n++;
  } while (length);
  return n;
}

static int has(const char *bytes, size_t size, const char *text) { return memmem(bytes, size, text, strlen(text)) != NULL; }

static void alarm_message(const char *topic_and_payload, size_t size) {
  static long oldest;
  static const char key[] = "\"onset\":";
  const char *found = memmem(topic_and_payload, size, key, sizeof key - 1);
  if (!found || !has(topic_and_payload, size, "\"event\":\"raised\"") || !has(topic_and_payload, size, "\"recorded\":true")) return;
  int64_t t = strtoll(found + sizeof key - 1, NULL, 10);
  double when = now();
  while (oldest < alarms_sent && sent[oldest].t == 0) oldest++;
  for (long i = oldest; i < alarms_sent; i++)
    if (sent[i].t == t) {
      latency[alarms_seen++] = when - sent[i].published;
      sent[i].t = 0;
      return;
    }
}

static void take(double seconds) {
  struct pollfd p = {sock, POLLIN, 0};
  struct timespec limit = {(time_t)seconds, (long)((seconds - (time_t)seconds) * 1e9)};
  if (ppoll(&p, 1, &limit, NULL) <= 0) return;
  ssize_t n = recv(sock, in + in_size, sizeof in - in_size, MSG_DONTWAIT);
  if (n == 0) errno = ECONNRESET, fail("broker has gone");
  if (n < 0) {
    if (errno == EAGAIN) return;
    fail("recv");
  }
  in_size += n;
  size_t at = 0;
  while (in_size - at >= 2) {
    size_t length = 0, head = 1, shift = 0;
    while (at + head < in_size && head < 5) {
      unsigned char byte = in[at + head++];
      length |= (size_t)(byte & 127) << shift;
      shift += 7;
      if (byte < 128) goto complete;
    }
    break;
  complete:
    if (in_size - at < head + length) break;
    unsigned char type = (unsigned char)in[at] >> 4;
    if (type == 4) acknowledged++;
    if (type == 3) alarm_message(in + at + head, length);
    at += head + length;
  }
  memmove(in, in + at, in_size - at);
  in_size -= at;
}

static int by_size(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return x < y ? -1 : x > y;
}

static double part(double p) { return alarms_seen ? latency[(long)(p * (alarms_seen - 1))] * 1e3 : 0; }

int main(int argc, char **argv) {
  if (argc != 9) {
    fprintf(stderr, "usage: load_publisher PORT TOPIC QOS COUNT READINGS DEVICES RATE ALARM_EVERY\n");
    return 2;
  }
  const char *topic = argv[2];
  int qos = atoi(argv[3]), readings = atoi(argv[5]), devices = atoi(argv[6]), every = atoi(argv[8]);
  long count = atol(argv[4]);
  double rate = atof(argv[7]);
  if (devices < readings || devices > MAXIMUM_DEVICES || readings < 1 || readings > 100) {
    fprintf(stderr, "load_publisher: 1 to 100 readings, at least as many devices, at most 100000\n");
    return 2;
  }
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[1])), .sin_addr = {htonl(INADDR_LOOPBACK)}};
  sock = socket(AF_INET, SOCK_STREAM, 0);
  if (connect(sock, (struct sockaddr *)&address, sizeof address)) fail("connect");
  int on = 1;
  setsockopt(sock, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  static const char hello[] = "\x10\x10\0\4MQTT\4\2\0\0\0\4load";
  memcpy(out, hello, 18);
  out_size = 18;
  if (every) {
    static const char subscribe[] = "\x82\x15\0\1\0\x10" "davy/v1/alarms/#" "\0";
    memcpy(out + out_size, subscribe, 23);
    out_size += 23;
  }
  flush(1);
  double answer = now() + 5;
  while (now() < answer && in_size < 1) {
    struct pollfd p = {sock, POLLIN, 0};
    poll(&p, 1, 100);
    break;
  }
  take(1);
  long next_device = 0, published = 0;
  unsigned short id = 0;
  double start = now();
  size_t topic_size = strlen(topic), total = 0;
  static char body[65536];
  while (published < count) {
    if (qos && published - acknowledged >= WINDOW) {
      flush(1);
      take(0.1);
      continue;
    }
    if (rate > 0) {
      double due = start + published / rate, ahead = due - now();
      if (ahead > 0) {
        flush(1);
        /* Asleep until then: on two cores a publisher that spins takes one of them from what is measured. */
        take(ahead);
        continue;
      }
    }
    int64_t t = wall();
    size_t n = 0;
    if (readings > 1) body[n++] = '[';
    int changes = every && published % every == 0;
    for (int r = 0; r < readings; r++) {
      long d = next_device++ % devices;
      if (last_t[d] >= t) t = last_t[d] + 1;
      double value = is_high[d] ? 30 : 1 + (d % 100) / 100.0;
      if (changes && r == 0) {
        is_high[d] = !is_high[d];
        value = is_high[d] ? 30 : 1;
        if (is_high[d] && alarms_sent < MAXIMUM_ALARMS) {
          /* The event time names the alarm, so it has to be its own. */
          static int64_t newest;
          if (t <= newest) t = newest + 1;
          newest = t;
          sent[alarms_sent].t = t;
          sent[alarms_sent++].published = now();
        }
      }
      last_t[d] = t;
      n += sprintf(body + n, "%s{\"device\":\"d%04ld\",\"point\":\"ch4\",\"t\":%lld,\"v\":%.3f,\"unit\":\"ppm\"}", r ? "," : "", d, (long long)t, value);
    }
    if (readings > 1) body[n++] = ']';
    while (n < 100) body[n++] = ' ';
    total += n;
    size_t length = 2 + topic_size + (qos ? 2 : 0) + n;
    if (out_size + length + 5 > sizeof out) flush(1);
    char *to = out + out_size;
    *to++ = 0x30 | qos << 1;
    to += put_length(to, length);
    *to++ = topic_size >> 8;
    *to++ = topic_size & 255;
    memcpy(to, topic, topic_size);
    to += topic_size;
    if (qos) {
      if (++id == 0) id = 1;
      *to++ = id >> 8;
      *to++ = id & 255;
    }
    memcpy(to, body, n);
    out_size = to + n - out;
    published++;
    if (out_size > 65536) flush(0);
    if (published % 64 == 0) take(0);
  }
  flush(1);
  double end = now() + 30;
  while (qos && acknowledged < count && now() < end) take(0.1);
  double done = now();
  end = now() + 5;
  while (alarms_seen < alarms_sent && now() < end) take(0.1);
  struct rusage u;
  getrusage(RUSAGE_SELF, &u);
  double used = u.ru_utime.tv_sec + u.ru_utime.tv_usec / 1e6 + u.ru_stime.tv_sec + u.ru_stime.tv_usec / 1e6;
  qsort(latency, alarms_seen, sizeof *latency, by_size);
  printf("{\"messages\": %ld, \"payload_bytes\": %.1f, \"acknowledged\": %ld, \"seconds\": %.6f, \"cpu_us_per_message\": %.3f, "
         "\"alarms_sent\": %ld, \"alarms_seen\": %ld, \"latency_ms\": {\"p50\": %.3f, \"p99\": %.3f, \"p99.9\": %.3f}}\n",
         published, (double)total / published, acknowledged, done - start, used / published * 1e6, alarms_sent, alarms_seen,
         part(0.5), part(0.99), part(0.999));
  return (qos && acknowledged < count) ? 1 : 0;
}
