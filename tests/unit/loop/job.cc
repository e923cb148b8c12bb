#include "tests/unit/loop/job.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <fstream>
#include <mutex>
#include <random>
#include <thread>

#include "checkpoint/commit.h"
#include "checkpoint/load.h"
#include "checkpoint/store.h"
#include "dataset/prepare.h"
#include "trainer/collective/in_process/in_process.h"

namespace muster::trainer::loop {

const std::string& TestData(int text) {
  static auto* folder = new TempFolder;
  static auto* prepared = new std::map<int, std::string>;
  static const int cleanup = std::atexit([] { delete folder; });
  EXPECT_EQ(cleanup, 0);
  std::string& path = (*prepared)[text];
  if (!path.empty()) return path;
  const std::string source = folder->path() + fmt::format("/source{}", text);
  path = folder->path() + fmt::format("/data{}", text);
  std::filesystem::create_directories(source);
  std::mt19937 random(static_cast<unsigned>(text + 1));
  const std::vector<std::string> words = {"rank", "step", "save", "load", "mesh", "data", "tree"};
  for (int file = 0; file < 40; ++file) {
    std::ofstream out(source + fmt::format("/{}.txt", file));
    for (int word = 0; word < 120; ++word) out << words[random() % words.size()] << ' ';
  }
  dataset::PrepareOptions options;
  options.source = source;
  options.globs = {"*.txt"};
  options.out = path;
  options.held_out = 0.2;
  const auto report = dataset::Prepare(options);
  EXPECT_TRUE(report.ok()) << report.status();
  return path;
}

std::string JobDocument(const Job& job) {
  return fmt::format(R"(
name: tiny
mesh: {{{}}}
train:
  model: {{layers: {}, d_model: 32, heads: 4, kv_heads: 4, ffn: 64, context: 16,
          rope_theta: 10000, norm_eps: 1.0e-5}}
  data: {{path: {}}}
  batch: {{global: {}, micro: {}}}
  optimizer: {{lr: 1.0e-2, warmup_steps: 2, weight_decay: 0.1, clip: 1.0, beta1: 0.9, beta2: 0.95,
              eps: 1.0e-8, min_lr_ratio: 0.1}}
  eval: {{every_steps: 3, samples: 10}}
  steps: {}
  seed: 5
  collective: mpi
  reproducible: {}
  zero: {}
  threads_per_rank: 1
checkpoint: {{path: unused, every_steps: {}, keep: {}, init_from: "{}", ram_every_steps: {},
             keep_every_steps: {}, keep_best: {}, compare_every_steps: {}{}}}
)",
                     job.mesh, job.layers, job.data, job.global_batch, job.micro_batch, job.steps,
                     job.reproducible, job.zero, job.save_every, job.keep, job.init_from,
                     job.ram_every, job.keep_every, job.keep_best, job.compare_every,
                     job.save_every_text.empty() ? "" : ", every: " + job.save_every_text);
}

bool JobOutcome::ok() const {
  for (const auto& rank : ranks) {
    if (!rank.ok()) return false;
  }
  return true;
}

std::string JobOutcome::Problems() const {
  std::string all;
  for (const std::string& problem : problems) all += problem + "\n";
  for (const auto& rank : ranks) {
    if (!rank.ok()) all += std::string(rank.status().message()) + "\n";
  }
  return all;
}

JobOutcome RunJob(const Job& job) {
  const auto config = ParseTrainConfig(JobDocument(job), "job.yaml");
  JobOutcome outcome;
  if (!config.ok()) {
    outcome.ranks.push_back(config.status());
    return outcome;
  }
  const int size = config->mesh.ranks();
  auto world = collective::MakeInProcessWorld(size);
  outcome.ranks.resize(static_cast<size_t>(size), absl::UnknownError("did not run"));
  std::mutex mutex;
  std::vector<std::thread> threads;
  for (int r = 0; r < size; ++r) {
    threads.emplace_back([&, r] {
      const auto rank = static_cast<size_t>(r);
      TrainingOptions options;
      options.config = *config;
      options.checkpoints = job.checkpoints;
      options.job_uid = "tiny-1-abcdef";
      options.attempt = job.attempt;
      options.permitted = job.permitted;
      options.fail = job.fail;
      if (job.seconds) options.seconds = job.seconds(r);
      options.verify_data = r == 0;
      if (job.vault) options.vault = job.vault(r);
      options.final_save_seconds = job.final_save_seconds;
      options.stop_save_seconds = job.final_save_seconds;
      options.save_patience_seconds = job.save_patience_seconds;
      options.console.out = [&](const std::string& line) {
        const std::lock_guard lock(mutex);
        outcome.out.push_back(line);
      };
      options.console.problem = [&](const std::string& line) {
        const std::lock_guard lock(mutex);
        outcome.problems.push_back(line);
      };
      outcome.ranks[rank] = RunTraining(options, *world[rank], job.link ? job.link(r) : nullptr,
                                        job.files ? *job.files(r) : checkpoint::PosixFiles());
      world[rank].reset();
    });
  }
  for (std::thread& thread : threads) thread.join();
  return outcome;
}

std::map<std::string, std::vector<float>> ReadTensors(const std::string& folder) {
  std::map<std::string, std::vector<float>> tensors;
  const auto manifest = checkpoint::ReadManifest(folder);
  EXPECT_TRUE(manifest.ok()) << manifest.status();
  if (!manifest.ok()) return tensors;
  std::vector<checkpoint::Request> requests;
  for (const checkpoint::Tensor& tensor : manifest->tensors) {
    const auto box = checkpoint::WholeTensor(tensor.name, tensor.dtype, tensor.shape);
    std::vector<float>& floats = tensors[tensor.name];
    floats.resize(checkpoint::ElementCount(box));
    requests.push_back({box, std::as_writable_bytes(std::span(floats))});
  }
  const auto loaded = checkpoint::Load(folder, *manifest, requests);
  EXPECT_TRUE(loaded.ok()) << loaded.status();
  return tensors;
}

std::string CheckpointOf(const std::string& checkpoints, uint64_t step) {
  const auto entries = checkpoint::ListCheckpoints(checkpoints);
  EXPECT_TRUE(entries.ok()) << entries.status();
  for (const auto& entry : *entries) {
    if (entry.id.step == step) return entry.path;
  }
  ADD_FAILURE() << "no checkpoint of step " << step << " in " << checkpoints;
  return "";
}

void FlipByte(const std::string& checkpoint) {
  const std::string path = checkpoint + "/data/w00000.safetensors";
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  ASSERT_TRUE(file) << path;
  file.seekg(0, std::ios::end);
  const auto middle = static_cast<std::streamoff>(file.tellg()) / 2;
  file.seekg(middle);
  const int old = file.get();
  file.seekp(middle);
  file.put(static_cast<char>(old ^ 1));
}

}  // namespace muster::trainer::loop
