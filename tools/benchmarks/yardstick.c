/* The engine's yardstick: the same work on the same readings in plain C, one thread.
 *
 * build: cc -O3 -march=native -o yardstick yardstick.c -lm
 * usage: yardstick generate DIR SENSORS SECONDS stride|random   writes id.u32 time.i64 value.f64 mu.f64
 *        yardstick run DIR [REPEAT]                             prints one JSON line a repetition
 *        yardstick stream SENSORS SECONDS stride|random         writes the same readings to its output: how many sensors
 *                                                               (u32), in which order (u32), levels, then values by second
 *        yardstick follow                                       runs what stream writes, from its input
 *
 * Work for each reading: 60 s sliding window (count, mean, sample deviation, minimum, maximum, last);
 * HIHI mu+8, HI mu+5, LO mu-5, raised when beyond for 3,000 ms, cleared when back by more than 1;
 * |change| per second above 4; EWMA (0.05) of mean and variance, 6 deviations, from reading 31 on.
 * Every raise and every clear is one event. Loading the columns is outside the timed part.
 */
#define _GNU_SOURCE
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

enum { SLOTS = 64, SPAN = 60000, HOLD = 3000, AHEAD = 16 };

static void die(const char *what) { perror(what); exit(1); }

/* ---- generator: AR(1) around a nominal level, spikes, episodes, ramps; integer and IEEE arithmetic only */

typedef struct { uint64_t seed; double level, noise, shift, ramp; int shift_left, ramp_left; } Source;

static uint64_t draw(uint64_t *seed) {
    uint64_t word = *seed += 0x9E3779B97F4A7C15u;
    word = (word ^ word >> 30) * 0xBF58476D1CE4E5B9u;
    word = (word ^ word >> 27) * 0x94D049BB133111EBu;
    return word ^ word >> 31;
}
static double fraction(uint64_t *seed) { return (double)(draw(seed) >> 11) * 0x1p-53; }
static double rounded(double value) { return floor(value * 1000 + 0.5) / 1000; }

static double sample(Source *s) {
    double gauss = 0;
    for (int i = 0; i < 12; i++) gauss += fraction(&s->seed);
    s->noise = 0.9 * s->noise + 0.4 * (gauss - 6.0);
    double value = s->level + s->noise, u = fraction(&s->seed);
    const double spike = 1.0 / 2000, episode = spike + 1.0 / 20000, slope = episode + 1.0 / 50000;
    if (u < spike) {
        double size = 6 + 8 * fraction(&s->seed);
        value += draw(&s->seed) & 1 ? size : -size;
    } else if (u < episode && !s->shift_left) {
        s->shift_left = 10 + (int)(51 * fraction(&s->seed));
        double size = 6 + 4 * fraction(&s->seed);
        s->shift = draw(&s->seed) & 1 ? size : -size;
    } else if (u < slope && !s->ramp_left) {
        s->ramp_left = 40;
        s->ramp = 0;
    }
    if (s->shift_left) { value += s->shift; s->shift_left--; }
    if (s->ramp_left) { s->ramp += 0.2; value += s->ramp; s->ramp_left--; }
    return rounded(value);
}

static FILE *column(const char *dir, const char *name, const char *mode) {
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *file = fopen(path, mode);
    if (!file) die(path);
    setvbuf(file, NULL, _IOFBF, 1 << 20);
    return file;
}

static Source *sources(uint32_t sensors) {
    Source *source = calloc(sensors, sizeof *source);
    if (!source) die("memory");
    for (uint32_t i = 0; i < sensors; i++) {
        source[i].seed = 1000003u + i;
        draw(&source[i].seed);
        source[i].level = rounded(20 + 60 * fraction(&source[i].seed));
    }
    return source;
}

static uint32_t *places(uint32_t sensors, int shuffled) {
    uint32_t *order = malloc(sensors * sizeof *order);
    if (!order) die("memory");
    for (uint32_t i = 0; i < sensors; i++) order[i] = (uint32_t)((uint64_t)i * 7919u % sensors);
    uint64_t seed = 42;
    for (uint32_t i = sensors; shuffled && i > 1; i--) {
        uint32_t j = (uint32_t)(draw(&seed) % i), swap = order[i - 1];
        order[i - 1] = order[j];
        order[j] = swap;
    }
    return order;
}

static const int64_t EPOCH = 1700000000000;

static int64_t moment(uint32_t second, uint32_t place, uint32_t sensors) {
    return EPOCH + (int64_t)second * 1000 + (int64_t)place * 1000 / sensors;
}

static int generate(const char *dir, uint32_t sensors, uint32_t seconds, int shuffled) {
    FILE *ids = column(dir, "id.u32", "wb"), *times = column(dir, "time.i64", "wb"),
         *values = column(dir, "value.f64", "wb"), *levels = column(dir, "mu.f64", "wb");
    Source *source = sources(sensors);
    uint32_t *order = places(sensors, shuffled);
    for (uint32_t i = 0; i < sensors; i++) fwrite(&source[i].level, 8, 1, levels);
    for (uint32_t second = 0; second < seconds; second++)
        for (uint32_t k = 0; k < sensors; k++) {
            uint32_t id = order[k];
            int64_t ms = moment(second, k, sensors);
            double value = sample(&source[id]);
            fwrite(&id, 4, 1, ids);
            fwrite(&ms, 8, 1, times);
            fwrite(&value, 8, 1, values);
        }
    if (fclose(ids) | fclose(times) | fclose(values) | fclose(levels)) die("write");
    return 0;
}

static void put(const void *bytes, size_t width, size_t count) {
    if (fwrite(bytes, width, count, stdout) != count) die("write");
}

static int stream(uint32_t sensors, uint32_t seconds, int shuffled) {
    Source *source = sources(sensors);
    uint32_t *order = places(sensors, shuffled);
    put(&sensors, 4, 1);
    put(order, 4, sensors);
    for (uint32_t i = 0; i < sensors; i++) put(&source[i].level, 8, 1);
    for (uint32_t second = 0; second < seconds; second++)
        for (uint32_t k = 0; k < sensors; k++) {
            double value = sample(&source[order[k]]);
            put(&value, 8, 1);
        }
    if (fflush(stdout)) die("write");
    return 0;
}

/* ---- the work */

typedef struct __attribute__((aligned(64))) {
    double sum, squares, reference, low, high, mu;
    uint32_t head, tail, seen, last_ms;
    double last, mean, variance;
    uint32_t pending[3];
    uint8_t active[3], fast, deviating;
} State;

typedef struct __attribute__((aligned(64))) { double value[SLOTS]; uint32_t ms[SLOTS]; } Ring;

typedef struct { double count, mean, deviation, low, high, last; uint64_t event[10]; } Result;

/* The ring in two stretches without a wrap, which is what makes looking again cheap. */
static void rescan(State *s, const Ring *r) {
    uint32_t first = s->tail % SLOTS, end = first + (s->head - s->tail), middle = end < SLOTS ? end : SLOTS;
    double low = r->value[first], high = low;
    for (uint32_t i = first; i < middle; i++) {
        low = r->value[i] < low ? r->value[i] : low;
        high = r->value[i] > high ? r->value[i] : high;
    }
    for (uint32_t i = 0; i + SLOTS < end; i++) {
        low = r->value[i] < low ? r->value[i] : low;
        high = r->value[i] > high ? r->value[i] : high;
    }
    s->low = low;
    s->high = high;
}

static inline __attribute__((always_inline)) void step(State *s, Ring *r, uint32_t ms, double value, Result *out) {
    if (s->head == 0) s->reference = value;
    int lost = 0;
    while (s->tail != s->head && r->ms[s->tail % SLOTS] + SPAN <= ms) {
        double old = r->value[s->tail % SLOTS], d = old - s->reference;
        s->sum -= d;
        s->squares -= d * d;
        lost |= (old <= s->low) | (old >= s->high);
        s->tail++;
    }
    if (s->head - s->tail == SLOTS) { fprintf(stderr, "a window is full\n"); exit(3); }
    r->value[s->head % SLOTS] = value;
    r->ms[s->head % SLOTS] = ms;
    s->head++;
    double d = value - s->reference;
    s->sum += d;
    s->squares += d * d;
    uint32_t live = s->head - s->tail;
    if (live == 1) s->low = s->high = value;
    else if (lost) rescan(s, r);
    else { s->low = value < s->low ? value : s->low; s->high = value > s->high ? value : s->high; }
    double mean = s->sum / live, variance = live > 1 ? (s->squares - s->sum * mean) / (live - 1) : 0;
    out->count += live;
    out->mean += mean + s->reference;
    out->deviation += variance > 0 ? sqrt(variance) : 0;
    out->low += s->low;
    out->high += s->high;
    out->last += value;

    const double above[3] = {value - s->mu - 8, value - s->mu - 5, s->mu - value - 5};
    for (int i = 0; i < 3; i++) {
        if (s->active[i]) {
            if (above[i] < -1) { s->active[i] = 0; s->pending[i] = 0; out->event[2 * i + 1]++; }
        } else if (above[i] > 0) {
            if (!s->pending[i]) s->pending[i] = ms + 1;
            if (ms + 1 - s->pending[i] >= HOLD) { s->active[i] = 1; out->event[2 * i]++; }
        } else s->pending[i] = 0;
    }
    if (!s->seen) {
        s->mean = value;
    } else {
        int fast = fabs(value - s->last) > 4.0 * ((ms - s->last_ms) * 1e-3);
        if (fast != s->fast) { s->fast = fast; out->event[6 + !fast]++; }
        double e = value - s->mean;
        int deviating = s->seen >= 30 && e * e > 36 * s->variance;
        if (deviating != s->deviating) { s->deviating = deviating; out->event[8 + !deviating]++; }
        s->mean += 0.05 * e;
        s->variance = 0.95 * (s->variance + 0.05 * e * e);
    }
    s->seen++;
    s->last = value;
    s->last_ms = ms;
}

static void *load(const char *dir, const char *name, size_t width, size_t *count) {
    FILE *file = column(dir, name, "rb");
    if (fseek(file, 0, SEEK_END)) die(name);
    size_t size = (size_t)ftell(file);
    rewind(file);
    void *bytes = malloc(size + 64);
    if (!bytes || fread(bytes, 1, size, file) != size) die(name);
    fclose(file);
    *count = size / width;
    return bytes;
}

static void *pages(size_t size) {
    size_t unit = 1 << 21;
    void *memory = aligned_alloc(unit, (size + unit - 1) / unit * unit);
    if (!memory) die("memory");
    madvise(memory, size, MADV_HUGEPAGE);
    memset(memory, 0, size);
    return memory;
}

static double now(clockid_t clock) {
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static inline __attribute__((always_inline)) void pass(State *state, Ring *ring, const uint32_t *id, const int64_t *time,
                                                       const double *value, size_t count, int64_t first, Result *out) {
    for (size_t i = 0; i < count; i++) {
        if (i + AHEAD < count) {
            const char *next = (const char *)&state[id[i + AHEAD]];
            __builtin_prefetch(next, 1);
            __builtin_prefetch(next + 64, 1);
            const State *s = &state[id[i + AHEAD / 2]];
            Ring *r = &ring[id[i + AHEAD / 2]];
            __builtin_prefetch(&r->value[s->tail % SLOTS], 1);
            __builtin_prefetch(&r->ms[s->tail % SLOTS], 1);
            __builtin_prefetch(&r->value[s->head % SLOTS], 1);
        }
        step(&state[id[i]], &ring[id[i]], (uint32_t)(time[i] - first), value[i], out);
    }
}

static void report(const Result *out, size_t count, double wall, double cpu, double later) {
    printf("{\"program\":\"c\",\"readings\":%zu,\"wall_s\":%.6f,\"cpu_s\":%.6f,\"later_cpu_s\":%.6f,\"state_bytes\":%zu,"
           "\"sum_count\":%.0f,\"sum_mean\":%.3f,\"sum_deviation\":%.3f,\"sum_minimum\":%.3f,\"sum_maximum\":%.3f,"
           "\"events\":{", count, wall, cpu, later, sizeof(State), out->count, out->mean, out->deviation, out->low, out->high);
    const char *name[5] = {"hihi", "hi", "lo", "rate", "ewma"};
    for (int i = 0; i < 5; i++)
        printf("%s\"%s\":[%llu,%llu]", i ? "," : "", name[i], (unsigned long long)out->event[2 * i],
               (unsigned long long)out->event[2 * i + 1]);
    printf("}}\n");
    fflush(stdout);
}

static State *states(const double *mu, size_t sensors) {
    State *state = pages(sensors * sizeof *state);
    for (size_t i = 0; i < sensors; i++) state[i].mu = mu[i];
    return state;
}

static int run(const char *dir, int repeat) {
    size_t count, sensors;
    uint32_t *id = load(dir, "id.u32", 4, &count);
    int64_t *time = load(dir, "time.i64", 8, &count);
    double *value = load(dir, "value.f64", 8, &count), *mu = load(dir, "mu.f64", 8, &sensors);
    while (repeat-- > 0) {
        State *state = states(mu, sensors);
        Ring *ring = pages(sensors * sizeof *ring);
        Result out;
        memset(&out, 0, sizeof out);
        size_t half = count / 2;
        double wall = now(CLOCK_MONOTONIC), cpu = now(CLOCK_PROCESS_CPUTIME_ID);
        pass(state, ring, id, time, value, half, time[0], &out);
        double later = now(CLOCK_PROCESS_CPUTIME_ID);
        pass(state, ring, id + half, time + half, value + half, count - half, time[0], &out);
        double end = now(CLOCK_PROCESS_CPUTIME_ID);
        report(&out, count, now(CLOCK_MONOTONIC) - wall, end - cpu, end - later);
        free(state);
        free(ring);
    }
    return 0;
}

/* Seconds that are read at once: what reads and writes is not timed, and writes on only when all has been read. */
enum { PORTION = 10 };

static int follow(void) {
    uint32_t sensors;
    if (fread(&sensors, 4, 1, stdin) != 1 || !sensors) die("input");
    size_t room = (size_t)PORTION * sensors;
    uint32_t *id = malloc(room * 4);
    double *mu = malloc(sensors * sizeof *mu), *value = malloc(room * 8);
    int64_t *time = malloc(room * 8);
    if (!id || !mu || !value || !time) die("memory");
    if (fread(id, 4, sensors, stdin) != sensors || fread(mu, 8, sensors, stdin) != sensors) die("input");
    for (int s = 1; s < PORTION; s++) memcpy(id + (size_t)s * sensors, id, (size_t)sensors * 4);
    State *state = states(mu, sensors);
    Ring *ring = pages(sensors * sizeof *ring);
    Result out;
    memset(&out, 0, sizeof out);
    double wall = 0, cpu = 0;
    size_t count = 0, got;
    for (uint32_t second = 0; (got = fread(value, 8, room, stdin)) > 0; second += PORTION) {
        for (size_t i = 0; i < got; i++) time[i] = moment(second + (uint32_t)(i / sensors), (uint32_t)(i % sensors), sensors);
        double w = now(CLOCK_MONOTONIC), c = now(CLOCK_PROCESS_CPUTIME_ID);
        pass(state, ring, id, time, value, got, EPOCH, &out);
        cpu += now(CLOCK_PROCESS_CPUTIME_ID) - c;
        wall += now(CLOCK_MONOTONIC) - w;
        count += got;
    }
    report(&out, count, wall, cpu, 0);
    return 0;
}

int main(int argc, char **argv) {
    if (argc == 6 && !strcmp(argv[1], "generate"))
        return generate(argv[2], (uint32_t)atol(argv[3]), (uint32_t)atol(argv[4]), !strcmp(argv[5], "random"));
    if (argc == 5 && !strcmp(argv[1], "stream"))
        return stream((uint32_t)atol(argv[2]), (uint32_t)atol(argv[3]), !strcmp(argv[4], "random"));
    if (argc == 2 && !strcmp(argv[1], "follow")) return follow();
    if (argc >= 3 && !strcmp(argv[1], "run")) return run(argv[2], argc > 3 ? atoi(argv[3]) : 1);
    fprintf(stderr, "usage: yardstick generate DIR SENSORS SECONDS stride|random | yardstick run DIR [REPEAT]\n"
                    "       yardstick stream SENSORS SECONDS stride|random | yardstick follow\n");
    return 2;
}
