/* Scans welding machines at a fixed rate and times the answers. MQTT 5: each request names a response topic and carries
 * its number as correlation data, by which its answer is known.
 *
 * Usage: scan_client PORT ENTERPRISE GATEWAY RATE SECONDS MACHINES [REQUEST-FILE]
 * Machine n has the code QR-n; every second scan is by welder w1, who may, the others by w2, who may not.
 * Prints one JSON object: sent, answered, allowed, recorded, and percentiles of the time from publish to answer in ms. */
#include <mosquitto.h>
#include <mqtt_protocol.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static double *sent_at, *latency;
static long total;
static atomic_long answered, allowed, recorded, ready;
static const char *answers;
static char topic_answers[512];

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1e3 + t.tv_nsec / 1e6;
}

static void on_subscribe(struct mosquitto *m, void *u, int id, int n, const int *g, const mosquitto_property *p) {
  (void)m; (void)u; (void)id; (void)p;
  if (n > 0 && g[0] < 0x80) atomic_store(&ready, 1);
}

static void on_connect(struct mosquitto *m, void *u, int rc, int flags, const mosquitto_property *p) {
  (void)u; (void)flags; (void)p;
  if (rc == 0) mosquitto_subscribe_v5(m, NULL, answers, 1, 0, NULL);
}

static void on_message(struct mosquitto *m, void *u, const struct mosquitto_message *msg, const mosquitto_property *p) {
  (void)m; (void)u;
  void *data = NULL;
  uint16_t length = 0;
  mosquitto_property_read_binary(p, MQTT_PROP_CORRELATION_DATA, &data, &length, false);
  if (data && length == sizeof(long)) {
    long number;
    memcpy(&number, data, sizeof number);
    if (number >= 0 && number < total && latency[number] == 0) {
      latency[number] = now() - sent_at[number];
      char *text = strndup(msg->payload, msg->payloadlen);
      if (strstr(text, "\"answer\":\"allow\"")) atomic_fetch_add(&allowed, 1);
      if (strstr(text, "\"recorded\":true")) atomic_fetch_add(&recorded, 1);
      free(text);
      atomic_fetch_add(&answered, 1);
    }
  }
  free(data);
}

static int compare(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

int main(int argc, char **argv) {
  if (argc != 7) return fprintf(stderr, "usage: scan_client PORT ENTERPRISE GATEWAY RATE SECONDS MACHINES\n"), 2;
  int port = atoi(argv[1]), rate = atoi(argv[4]), seconds = atoi(argv[5]), machines = atoi(argv[6]);
  total = (long)rate * seconds;
  sent_at = calloc(total, sizeof *sent_at);
  latency = calloc(total, sizeof *latency);
  char topic[512];
  snprintf(topic, sizeof topic, "davy/v1/%s/%s/welding/scan", argv[2], argv[3]);
  snprintf(topic_answers, sizeof topic_answers, "davy/v1/%s/%s/welding/answers/bench", argv[2], argv[3]);
  answers = topic_answers;
  mosquitto_lib_init();
  struct mosquitto *m = mosquitto_new("scan-bench", true, NULL);
  mosquitto_int_option(m, MOSQ_OPT_PROTOCOL_VERSION, MQTT_PROTOCOL_V5);
  mosquitto_int_option(m, MOSQ_OPT_TCP_NODELAY, 1);
  mosquitto_max_inflight_messages_set(m, 0);
  mosquitto_connect_v5_callback_set(m, on_connect);
  mosquitto_subscribe_v5_callback_set(m, on_subscribe);
  mosquitto_message_v5_callback_set(m, on_message);
  if (mosquitto_connect(m, "127.0.0.1", port, 30) != MOSQ_ERR_SUCCESS) return fprintf(stderr, "no broker\n"), 1;
  mosquitto_loop_start(m);
  for (int i = 0; i < 1000 && !atomic_load(&ready); i++) usleep(10000);
  if (!atomic_load(&ready)) return fprintf(stderr, "not subscribed\n"), 1;
  double start = now();
  for (long number = 0; number < total; number++) {
    double due = start + number * 1e3 / rate, wait = due - now();
    if (wait > 0) usleep((useconds_t)(wait * 1e3));
    char payload[256];
    int size = snprintf(payload, sizeof payload,
      "{\"id\":\"%ld\",\"code\":\"QR-%ld\",\"welder\":\"%s\",\"position\":[115.0005,25.0005]}",
      number, number % machines, number % 2 ? "w2" : "w1");
    mosquitto_property *properties = NULL;
    mosquitto_property_add_string(&properties, MQTT_PROP_RESPONSE_TOPIC, topic_answers);
    mosquitto_property_add_binary(&properties, MQTT_PROP_CORRELATION_DATA, &number, sizeof number);
    sent_at[number] = now();
    if (mosquitto_publish_v5(m, NULL, topic, size, payload, 1, false, properties) != MOSQ_ERR_SUCCESS)
      return fprintf(stderr, "publish failed\n"), 1;
    mosquitto_property_free_all(&properties);
  }
  for (int i = 0; i < 3000 && atomic_load(&answered) < total; i++) usleep(10000);
  mosquitto_disconnect(m);
  mosquitto_loop_stop(m, true);
  long count = 0;
  for (long i = 0; i < total; i++)
    if (latency[i] > 0) latency[count++] = latency[i];
  qsort(latency, count, sizeof *latency, compare);
  printf("{\"sent\":%ld,\"answered\":%ld,\"allowed\":%ld,\"recorded\":%ld,\"p50\":%.2f,\"p99\":%.2f,\"max\":%.2f}\n",
    total, count, atomic_load(&allowed), atomic_load(&recorded), count ? latency[count / 2] : 0,
    count ? latency[count * 99 / 100] : 0, count ? latency[count - 1] : 0);
  return count == total ? 0 : 1;
}
