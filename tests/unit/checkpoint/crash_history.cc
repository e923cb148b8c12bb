#include "tests/unit/checkpoint/crash_history.h"

#include <algorithm>
#include <set>

namespace muster::checkpoint {
namespace {

std::string Name(CheckpointId id) { return fmt::format("{}.a{}", id.step, id.attempt); }

// In the order in which retention keeps them: the newest attempt's first, then what it may have
// come from; at the end what a newer attempt turned its back on by going on from an earlier step.
std::vector<CheckpointId> RetentionOrder(const std::set<CheckpointId>& ids) {
  std::map<uint64_t, std::set<uint64_t>, std::greater<>> by_attempt;
  for (const CheckpointId& id : ids) by_attempt[id.attempt].insert(id.step);
  std::vector<CheckpointId> line, abandoned;
  uint64_t bound = UINT64_MAX;
  for (const auto& [attempt, steps] : by_attempt) {
    for (const uint64_t step : steps) {
      (step < bound ? line : abandoned).push_back({step, attempt});
    }
    bound = std::min(bound, *steps.begin());
  }
  std::sort(line.rbegin(), line.rend());
  std::sort(abandoned.rbegin(), abandoned.rend());
  line.insert(line.end(), abandoned.begin(), abandoned.end());
  return line;
}

class Inspection {
 public:
  Inspection(FileSystem& files, const History& history, const std::string& root)
      : files_(files), history_(history), root_(root) {}

  std::vector<std::string> Run() {
    const auto all = ListCheckpoints(root_, files_);
    if (!all.ok()) return {fmt::format("list: {}", std::string(all.status().message()))};
    for (const CheckpointEntry& entry : *all) Look(entry);
    for (const CheckpointId& id : history_.acknowledged) LookFor(id);
    Choose();
    return std::move(faults_);
  }

 private:
  void Look(const CheckpointEntry& entry) {
    if (entry.state == CheckpointState::kPartial) return;
    if (entry.state == CheckpointState::kDamagedCommit) {
      faults_.push_back(fmt::format("{}: {}", Name(entry.id), entry.problem));
      return;
    }
    if (std::count(history_.permitted.begin(), history_.permitted.end(), entry.id) == 0) {
      faults_.push_back(fmt::format("{} is committed without a permit", Name(entry.id)));
    }
    const std::string& fault = FaultOf(entry);
    if (fault.empty()) {
      whole_.insert(entry.id);
    } else {
      faults_.push_back(fmt::format("{} is committed, but {}", Name(entry.id), fault));
    }
  }

  // Empty: it verifies and loads. The same bytes are looked at once: thousands of crashes leave
  // the older checkpoints as they were.
  const std::string& FaultOf(const CheckpointEntry& entry) {
    static auto* known = new std::map<std::pair<CheckpointId, size_t>, std::string>();
    const auto [fault, is_new] = known->try_emplace({entry.id, ContentsOf(entry.path)});
    if (!is_new) return fault->second;
    const VerifyReport report = Verify(entry.path, nullptr, VerifyDepth::kEverything, files_);
    if (!report.ok()) return fault->second = report.problems.front();
    std::mt19937_64 random(entry.id.step);
    const auto same = LoadsBack(entry.path, ModelOf(entry.id), random, files_);
    if (!same.ok()) return fault->second = std::string(same.status().message());
    if (!*same) fault->second = "other bits were loaded than were saved";
    return fault->second;
  }

  size_t ContentsOf(const std::string& folder) {
    size_t hash = 0;
    const auto entries = files_.List(folder);
    if (!entries.ok()) return 0;
    for (const FolderEntry& entry : *entries) {
      const std::string path = folder + "/" + entry.name;
      const std::string text =
          entry.is_folder ? "" : ReadWholeFile(files_, path, 1 << 20).value_or("unreadable");
      const size_t inside = entry.is_folder ? ContentsOf(path) : std::hash<std::string>()(text);
      hash = hash * 0x9e3779b97f4a7c15 + std::hash<std::string>()(entry.name) * 31 + inside;
    }
    return hash;
  }

  void LookFor(CheckpointId id) {
    if (whole_.contains(id)) return;
    std::set<CheckpointId> known = whole_;
    known.insert(id);
    size_t before = 0;
    for (const CheckpointId& other : RetentionOrder(known)) {
      if (other == id) break;
      ++before;
    }
    if (history_.keep == 0 || before < history_.keep) {
      faults_.push_back(
          fmt::format("{} was acknowledged and is gone, {} are before it", Name(id), before));
    }
  }

  void Choose() {
    const auto choice = ChooseNewest(root_, files_);
    if (!choice.ok()) {
      faults_.push_back(fmt::format("resume: {}", std::string(choice.status().message())));
    } else if (choice->point.has_value() != !whole_.empty()) {
      faults_.push_back("resume: not what is there");
    } else if (choice->point.has_value()) {
      const Manifest& manifest = choice->point->manifest;
      if (CheckpointId{manifest.step, manifest.attempt} != *whole_.rbegin()) {
        faults_.push_back(fmt::format("resume from {}, the newest is {}",
                                      Name({manifest.step, manifest.attempt}),
                                      Name(*whole_.rbegin())));
      }
    }
  }

  FileSystem& files_;
  const History& history_;
  const std::string& root_;
  std::vector<std::string> faults_;
  std::set<CheckpointId> whole_;
};

// A new attempt goes on from what is there.
absl::Status GoOn(FileSystem& files, History& history, const std::string& root) {
  CheckpointId next{1, 1};
  MUSTER_ASSIGN_OR_RETURN(const auto all, ListCheckpoints(root, files));
  for (const CheckpointEntry& entry : all) {
    next.attempt = std::max(next.attempt, entry.id.attempt + 1);
    if (entry.state == CheckpointState::kCommitted) {
      next.step = std::max(next.step, entry.id.step + 1);
    }
  }
  for (const CheckpointId& id : history.permitted) {
    next.attempt = std::max(next.attempt, id.attempt + 1);
  }
  return SaveStep(files, next, 1, history, root);
}

void LookForTemporaryNames(FileSystem& files, const std::string& folder,
                           std::vector<std::string>& faults) {
  const auto entries = files.List(folder);
  if (!entries.ok()) return faults.push_back(std::string(entries.status().message()));
  for (const FolderEntry& entry : *entries) {
    const std::string path = folder + "/" + entry.name;
    if (entry.name.starts_with(".")) faults.push_back(fmt::format("{} is left over", path));
    if (entry.is_folder) LookForTemporaryNames(files, path, faults);
  }
}

void LookForRubbish(FileSystem& files, const History& history, const std::string& root,
                    std::vector<std::string>& faults) {
  PruneOptions options{.keep = history.keep, .pinned = {}, .current_attempt = 0};
  options.current_attempt = history.permitted.back().attempt;
  const auto again = Prune(root, options, files);
  if (!again.ok() || !again->deleted.empty() || !again->swept.empty()) {
    faults.push_back(fmt::format(
        "a second prune deletes {}, sweeps {}: {}", again.ok() ? again->deleted.size() : 0,
        again.ok() ? again->swept.size() : 0, std::string(again.status().message())));
  }
  LookForTemporaryNames(files, root, faults);
  const auto all = ListCheckpoints(root, files);
  if (!all.ok()) return faults.push_back("list after prune");
  if (history.keep > 0 && all->size() > history.keep) {
    faults.push_back(fmt::format("{} checkpoints are left, {} to keep", all->size(), history.keep));
  }
  for (const CheckpointEntry& entry : *all) {
    if (entry.state != CheckpointState::kCommitted) {
      faults.push_back(
          fmt::format("{} is left over, {}", Name(entry.id), CheckpointStateText(entry.state)));
    }
  }
}

}  // namespace

const Model& ModelOf(CheckpointId id) {
  static auto* models = new std::map<CheckpointId, Model>();
  auto [model, is_new] = models->try_emplace(id);
  if (is_new) {
    std::mt19937_64 random(id.step * 1000 + id.attempt);
    model->second = RandomModel(random, 4);
  }
  return model->second;
}

absl::StatusOr<ShardDigest> WriteRank(FileSystem& files, CheckpointId id, size_t writer,
                                      size_t writers, const std::string& root) {
  MUSTER_ASSIGN_OR_RETURN(const std::string folder, PrepareCheckpointFolder(root, id, files));
  const Model& model = ModelOf(id);
  std::mt19937_64 random(id.step);
  std::vector<Box> boxes;
  size_t next = 0;
  for (const Box& whole : model.tensors) {
    for (Box& part : RandomCuts(whole, random, writers + 1)) {
      if (next++ % writers == writer) boxes.push_back(std::move(part));
    }
  }
  std::vector<Bytes> bytes;
  std::vector<Slice> slices;
  for (const Box& box : boxes) bytes.push_back(CutOut(model, box));
  for (size_t i = 0; i < boxes.size(); ++i) slices.push_back({boxes[i], bytes[i]});
  return WriteShard(folder, WriterName(writer), slices, {}, files);
}

absl::Status CommitStep(FileSystem& files, CheckpointId id, std::span<const ShardDigest> digests,
                        History& history, const std::string& root) {
  const std::string folder = root + "/" + CheckpointFolder(id);
  RunState run;
  run.next_sample = id.step * 32;
  MUSTER_ASSIGN_OR_RETURN(const Manifest manifest,
                          BuildManifest(id.step, id.attempt, "job", run, digests));
  MUSTER_RETURN_IF_ERROR(WriteManifest(folder, manifest, files));
  if (std::count(history.permitted.begin(), history.permitted.end(), id) == 0) {
    history.permitted.push_back(id);
  }
  MUSTER_RETURN_IF_ERROR(Commit(folder, {id.step, id.attempt, 1, manifest.sha256}, files));
  history.acknowledged.push_back(id);
  return absl::OkStatus();
}

absl::Status TidyAfter(FileSystem& files, CheckpointId id, const History& history,
                       const std::string& root) {
  WriteLatest(root, id, files).IgnoreError();  // a hint; another attempt may be writing it too
  const PruneOptions options{.keep = history.keep, .pinned = {}, .current_attempt = id.attempt};
  return Prune(root, options, files).status();
}

absl::Status SaveStep(FileSystem& files, CheckpointId id, size_t writers, History& history,
                      const std::string& root) {
  std::vector<ShardDigest> digests;
  for (size_t writer = 0; writer < writers; ++writer) {
    MUSTER_ASSIGN_OR_RETURN(ShardDigest digest, WriteRank(files, id, writer, writers, root));
    digests.push_back(std::move(digest));
  }
  MUSTER_RETURN_IF_ERROR(CommitStep(files, id, digests, history, root));
  return TidyAfter(files, id, history, root);
}

std::vector<std::string> FaultsAfterCrash(FileSystem& files, const History& found,
                                          const std::string& root) {
  std::vector<std::string> faults = Inspection(files, found, root).Run();
  if (!faults.empty()) return faults;
  History history = found;
  const absl::Status saved = GoOn(files, history, root);
  if (!saved.ok()) {
    return {fmt::format("the next attempt cannot save: {}", std::string(saved.message()))};
  }
  LookForRubbish(files, history, root, faults);
  for (const std::string& fault : Inspection(files, history, root).Run()) {
    faults.push_back("after the next attempt's save: " + fault);
  }
  return faults;
}

void RecordInstants(DiskFiles& files, const History& history, std::vector<Instant>& instants) {
  files.set_gate([&files, &history, &instants](const DiskFiles::Call& call) {
    if (call.changes) instants.push_back({files.disk(), history});
    return absl::OkStatus();
  });
}

std::vector<std::string> FaultsAfterSecondCrash(const Instant& found, uint64_t seed) {
  DiskFiles files(found.disk);
  History history = found.history;
  std::vector<Instant> instants;
  RecordInstants(files, history, instants);
  const absl::Status saved = GoOn(files, history, kJob);
  if (!saved.ok()) {
    return {fmt::format("the next attempt cannot save: {}", std::string(saved.message()))};
  }
  instants.push_back({files.disk(), history});
  std::mt19937_64 random(seed);
  const Instant& second = instants[random() % instants.size()];
  constexpr Survival kHow[] = {Survival::kSynced, Survival::kPrefix, Survival::kAny};
  DiskFiles after(second.disk.PowerLoss(kHow[random() % 3], random()));
  return FaultsAfterCrash(after, second.history);
}

}  // namespace muster::checkpoint
