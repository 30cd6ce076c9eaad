/* The yardsticks of tools/bench-ingest: receives by libmosquitto and only counts, or only syncs.
 *
 * usage: count_subscriber PORT FILTER QOS COUNT [FOLDER]
 *
 * The same loop as Davy's intake, without decoding, journal, engine and ledger: read until the socket
 * is empty, then let the queued PUBACKs leave together. Prints "ready" when subscribed, and after COUNT
 * messages one JSON object: messages, bytes, seconds from the first to the last, CPU time a message.
 *
 * With FOLDER, what was read is written there and synced before its PUBACKs leave; for each message of
 * load_publisher that raises an alarm a line is written and synced as well, and then published.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <mosquitto.h>
#include <mqtt_protocol.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* With FOLDER: its two files, what was read since the last sync, and the event times of new alarms. */
static int journal = -1, ledger = -1;
static char unsynced[4 << 20];
static size_t unsynced_size;
static long long onsets[4096];
static int onset_count;

static long count, wanted, bytes;
static double first_time, last_time, first_cpu;

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec + t.tv_nsec / 1e9;
}

static double cpu(void) {
  struct rusage u;
  getrusage(RUSAGE_SELF, &u);
  return u.ru_utime.tv_sec + u.ru_utime.tv_usec / 1e6 + u.ru_stime.tv_sec + u.ru_stime.tv_usec / 1e6;
}

static void on_message(struct mosquitto *m, void *u, const struct mosquitto_message *message) {
  (void)m, (void)u;
  if (count == 0) first_time = now(), first_cpu = cpu();
  count++;
  bytes += message->payloadlen;
  if (journal < 0) return;
  size_t size = message->payloadlen;
  if (unsynced_size + size > sizeof unsynced || onset_count == 4096) {
    fprintf(stderr, "count_subscriber: more was read at once than it has room for\n");
    exit(1);
  }
  memcpy(unsynced + unsynced_size, message->payload, size);
  unsynced_size += size;
  const char *time = memmem(message->payload, size, "\"t\":", 4);
  if (time && memmem(message->payload, size, "\"v\":30.000", 10)) onsets[onset_count++] = strtoll(time + 4, NULL, 10);
}

static int create(const char *folder, const char *name) {
  char path[4096];
  snprintf(path, sizeof path, "%s/%s", folder, name);
  int file = open(path, O_WRONLY | O_CREAT | O_APPEND, 0644);
  if (file < 0) {
    perror(path);
    exit(1);
  }
  return file;
}

static void store(int file, const void *from, size_t size) {
  if (write(file, from, size) != (ssize_t)size || fdatasync(file) != 0) {
    perror("count_subscriber: write");
    exit(1);
  }
}

static void sync_and_announce(struct mosquitto *m) {
  if (unsynced_size > 0) store(journal, unsynced, unsynced_size);
  unsynced_size = 0;
  if (onset_count == 0) return;
  static char lines[4096 * 80];
  size_t size = 0;
  for (int i = 0; i < onset_count; i++)
    size += sprintf(lines + size, "{\"event\":\"raised\",\"recorded\":true,\"onset\":%lld}\n", onsets[i]);
  store(ledger, lines, size);
  char *line = lines;
  for (int i = 0; i < onset_count; i++) {
    size_t length = strcspn(line, "\n");
    mosquitto_publish(m, NULL, "davy/v1/alarms/bare", length, line, 1, false);
    line += length + 1;
  }
  onset_count = 0;
}

static void on_connect(struct mosquitto *m, void *filter, int code) {
  int qos = *(int *)((char *)filter - sizeof(int));
  if (code != 0 || mosquitto_subscribe(m, NULL, filter, qos) != MOSQ_ERR_SUCCESS) {
    fprintf(stderr, "count_subscriber: refused (%d)\n", code);
    exit(1);
  }
}

static void on_subscribe(struct mosquitto *m, void *u, int mid, int n, const int *granted) {
  (void)m, (void)u, (void)mid;
  if (n != 1 || granted[0] >= 0x80) {
    fprintf(stderr, "count_subscriber: subscription refused\n");
    exit(1);
  }
  puts("ready");
  fflush(stdout);
}

int main(int argc, char **argv) {
  if (argc != 5 && argc != 6) {
    fprintf(stderr, "usage: count_subscriber PORT FILTER QOS COUNT [FOLDER]\n");
    return 2;
  }
  if (argc == 6) {
    journal = create(argv[5], "journal");
    ledger = create(argv[5], "ledger");
  }
  static struct { int qos; char filter[256]; } subscription;
  subscription.qos = atoi(argv[3]);
  snprintf(subscription.filter, sizeof subscription.filter, "%s", argv[2]);
  wanted = atol(argv[4]);
  mosquitto_lib_init();
  struct mosquitto *m = mosquitto_new("count-subscriber", true, subscription.filter);
  mosquitto_int_option(m, MOSQ_OPT_RECEIVE_MAXIMUM, 65535);
  mosquitto_threaded_set(m, true);
  mosquitto_connect_callback_set(m, on_connect);
  mosquitto_subscribe_callback_set(m, on_subscribe);
  mosquitto_message_callback_set(m, on_message);
  if (mosquitto_connect(m, "127.0.0.1", atoi(argv[1]), 60) != MOSQ_ERR_SUCCESS) {
    perror("count_subscriber: connect");
    return 1;
  }
  int on = 1, off = 0;
  setsockopt(mosquitto_socket(m), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  while (count < wanted) {
    struct pollfd p = {mosquitto_socket(m), POLLIN | (mosquitto_want_write(m) ? POLLOUT : 0), 0};
    poll(&p, 1, 1000);
    long before;
    int drained;
    do {
      before = count;
      errno = 0;
      if (mosquitto_loop_read(m, 1) != MOSQ_ERR_SUCCESS) {
        fprintf(stderr, "count_subscriber: connection lost after %ld messages\n", count);
        return 1;
      }
      drained = errno == EAGAIN && count == before;
    } while (!drained && count < wanted);
    if (journal >= 0) sync_and_announce(m);
    if (count >= wanted) last_time = now();
    setsockopt(mosquitto_socket(m), IPPROTO_TCP, TCP_CORK, &on, sizeof on);
    while (mosquitto_want_write(m)) {
      errno = 0;
      mosquitto_loop_write(m, 1);
      if (errno == EAGAIN) break;
    }
    setsockopt(mosquitto_socket(m), IPPROTO_TCP, TCP_CORK, &off, sizeof off);
    mosquitto_loop_misc(m);
  }
  printf("{\"messages\": %ld, \"bytes\": %ld, \"seconds\": %.6f, \"cpu_us_per_message\": %.3f}\n", count, bytes,
         last_time - first_time, (cpu() - first_cpu) / count * 1e6);
  return 0;
}
