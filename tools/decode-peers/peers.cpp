// simdjson's and (with HAVE_YYJSON) yyjson's parse of the same bytes that decodebench decodes.
// Each message is parsed alone; device, point, time, value and status are taken out and summed up.
//
//   peers DIRECTORY ROUNDS
#include <simdjson.h>
#include <time.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <iterator>
#include <string>
#include <vector>
#ifdef HAVE_YYJSON
#include <yyjson.h>
#endif

static long threadTime() {
  timespec time;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return time.tv_sec * 1000000000L + time.tv_nsec;
}

struct Sums {
  double value = 0;
  long time = 0;
  size_t text = 0;
  size_t readings = 0;
};

static std::vector<simdjson::padded_string> load(const std::string &path) {
  std::ifstream file(path);
  std::vector<simdjson::padded_string> lines;
  for (std::string line; std::getline(file, line);) lines.emplace_back(line);
  if (lines.empty()) {
    std::fprintf(stderr, "nothing in %s\n", path.c_str());
    std::exit(1);
  }
  return lines;
}

static simdjson::ondemand::parser ondemandParser;
static simdjson::dom::parser domParser;

static void reading(simdjson::ondemand::object object, Sums &sums) {
  for (auto field : object) {
    std::string_view key = field.unescaped_key();
    if (key == "t") sums.time += int64_t(field.value().get_int64());
    else if (key == "v") sums.value += double(field.value().get_double());
    else sums.text += std::string_view(field.value().get_string()).size();
  }
  sums.readings++;
}

static void ondemand(const simdjson::padded_string &line, bool batch, Sums &sums) {
  auto document = ondemandParser.iterate(line);
  simdjson::ondemand::object root = document.get_object();
  if (!batch) return reading(root, sums);
  for (auto field : root) {
    if (std::string_view(field.unescaped_key()) == "device")
      sums.text += std::string_view(field.value().get_string()).size();
    else
      for (auto element : field.value().get_array()) reading(element.get_object(), sums);
  }
}

static void reading(simdjson::dom::object object, Sums &sums) {
  for (auto field : object) {
    if (field.key == "t") sums.time += int64_t(field.value.get_int64());
    else if (field.key == "v") sums.value += double(field.value.get_double());
    else sums.text += std::string_view(field.value.get_string()).size();
  }
  sums.readings++;
}

static void dom(const simdjson::padded_string &line, bool batch, Sums &sums) {
  simdjson::dom::object root = domParser.parse(line).get_object();
  if (!batch) return reading(root, sums);
  for (auto field : root) {
    if (field.key == "device") sums.text += std::string_view(field.value.get_string()).size();
    else
      for (auto element : field.value.get_array()) reading(element.get_object(), sums);
  }
}

#ifdef HAVE_YYJSON
static char pool[1 << 20];

static void reading(yyjson_val *object, Sums &sums) {
  size_t index, count;
  yyjson_val *key, *value;
  yyjson_obj_foreach(object, index, count, key, value) {
    if (yyjson_equals_str(key, "t")) sums.time += yyjson_get_sint(value);
    else if (yyjson_equals_str(key, "v")) sums.value += yyjson_get_num(value);
    else sums.text += yyjson_get_len(value);
  }
  sums.readings++;
}

static void yyjson(const simdjson::padded_string &line, bool batch, Sums &sums) {
  yyjson_alc allocator;
  yyjson_alc_pool_init(&allocator, pool, sizeof pool);
  yyjson_doc *document = yyjson_read_opts(
      const_cast<char *>(line.data()), line.size(), YYJSON_READ_NOFLAG, &allocator, nullptr);
  yyjson_val *root = yyjson_doc_get_root(document);
  if (!batch) {
    reading(root, sums);
  } else {
    size_t index, count, i, n;
    yyjson_val *key, *value, *element;
    yyjson_obj_foreach(root, index, count, key, value) {
      if (yyjson_equals_str(key, "device")) sums.text += yyjson_get_len(value);
      else yyjson_arr_foreach(value, i, n, element) reading(element, sums);
    }
  }
  yyjson_doc_free(document);
}
#endif

int main(int argc, char **argv) {
  if (argc != 3) return 2;
  const std::string directory = argv[1];
  const int rounds = std::atoi(argv[2]);
  struct Parser {
    const char *name;
    void (*run)(const simdjson::padded_string &, bool, Sums &);
  };
  const Parser parsers[] = {{"simdjson on demand", ondemand},
                            {"simdjson DOM", dom},
#ifdef HAVE_YYJSON
                            {"yyjson", yyjson},
#endif
  };
  for (bool batch : {false, true}) {
    auto lines = load(directory + (batch ? "/batch.json" : "/flat.json"));
    size_t bytes = 0;
    for (auto &line : lines) bytes += line.size();
    for (const Parser &parser : parsers) {
      std::vector<long> costs;
      Sums sums;
      for (int round = 0; round <= rounds; round++) {
        long start = threadTime();
        for (auto &line : lines) parser.run(line, batch, sums);
        costs.push_back(threadTime() - start);
      }
      std::sort(costs.begin() + 1, costs.end());
      double cost = double(costs[1 + rounds / 2]);
      int readings = batch ? 50 : 1;
      if (sums.readings != lines.size() * size_t(readings) * size_t(rounds + 1)) return 1;
      double perMessage = cost / double(lines.size());
      std::printf(
          "{\"parser\":\"%s\",\"workload\":\"davy-json %s\",\"bytes\":%zu,\"readings\":%d,"
          "\"ns_per_message\":%.1f,\"ns_per_reading\":%.1f,\"mb_per_s\":%.1f}\n",
          parser.name, batch ? "50 readings" : "flat", bytes / lines.size(), readings, perMessage,
          perMessage / readings, double(bytes) / cost * 1000);
    }
  }
}
