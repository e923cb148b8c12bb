#include "trainer/collective/in_process/in_process.h"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <map>
#include <numeric>
#include <utility>

#include "absl/synchronization/mutex.h"
#include "common/check.h"
#include "common/status.h"
#include "trainer/collective/tree_sum.h"

namespace muster::trainer::collective {
namespace {

using Blob = std::vector<std::byte>;

// Everything the ranks of one group share. All operations are one: give a blob under the next
// sequence number, look at everyone's.
class Meeting {
 public:
  explicit Meeting(int size) : size_(size), left_(static_cast<size_t>(size), false) {}

  int size() const { return size_; }

  void Post(uint64_t sequence, int rank, Blob blob) {
    absl::MutexLock lock(&mutex_);
    Round& round = rounds_[sequence];
    round.blobs.resize(static_cast<size_t>(size_));
    round.posted.resize(static_cast<size_t>(size_), false);
    round.blobs[static_cast<size_t>(rank)] = std::move(blob);
    round.posted[static_cast<size_t>(rank)] = true;
    ++round.posts;
  }

  // The blobs by rank; they live until Done.
  absl::StatusOr<const std::vector<Blob>*> Wait(uint64_t sequence) {
    absl::MutexLock lock(&mutex_);
    Round& round = rounds_[sequence];
    auto ready = [&] {
      mutex_.AssertHeld();
      return round.posts == size_ || AbsentRank(round) >= 0;
    };
    mutex_.Await(absl::Condition(&ready));
    if (round.posts != size_) {
      return Unavailable("collective {}: rank {} left the group", sequence, AbsentRank(round));
    }
    return &round.blobs;
  }

  void Done(uint64_t sequence) {
    absl::MutexLock lock(&mutex_);
    auto round = rounds_.find(sequence);
    CHECK(round != rounds_.end(), "round {} is gone", sequence);
    if (++round->second.done == size_) rounds_.erase(round);
  }

  void Leave(int rank) {
    absl::MutexLock lock(&mutex_);
    left_[static_cast<size_t>(rank)] = true;
  }

  std::shared_ptr<Meeting> Child(uint64_t sequence, int color, int size) {
    absl::MutexLock lock(&mutex_);
    std::shared_ptr<Meeting>& child = children_[{sequence, color}];
    if (child == nullptr) child = std::make_shared<Meeting>(size);
    return child;
  }

 private:
  struct Round {
    std::vector<Blob> blobs;
    std::vector<bool> posted;
    int posts = 0;
    int done = 0;
  };

  // A rank that will never post this round, or -1.
  int AbsentRank(const Round& round) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    for (size_t r = 0; r < left_.size(); ++r) {
      if (left_[r] && (round.posted.empty() || !round.posted[r])) return static_cast<int>(r);
    }
    return -1;
  }

  const int size_;
  absl::Mutex mutex_;
  std::map<uint64_t, Round> rounds_ ABSL_GUARDED_BY(mutex_);
  std::vector<bool> left_ ABSL_GUARDED_BY(mutex_);
  std::map<std::pair<uint64_t, int>, std::shared_ptr<Meeting>> children_ ABSL_GUARDED_BY(mutex_);
};

size_t Sum(std::span<const size_t> counts) {
  return std::accumulate(counts.begin(), counts.end(), size_t{0});
}

Blob Copy(std::span<const std::byte> data) { return Blob(data.begin(), data.end()); }
Blob Copy(std::span<const float> data) { return Copy(std::as_bytes(data)); }

const float* Floats(const Blob& blob) { return reinterpret_cast<const float*>(blob.data()); }

void SumSlice(const std::vector<Blob>& blobs, size_t offset, std::span<float> out) {
  std::vector<const float*> parts;
  for (const Blob& blob : blobs) {
    CHECK(blob.size() >= (offset + out.size()) * sizeof(float), "ranks gave unlike lengths");
    parts.push_back(Floats(blob) + offset);
  }
  TreeSum(parts, out);
}

class ReduceScatterPending : public Pending {
 public:
  ReduceScatterPending(std::shared_ptr<Meeting> group, uint64_t sequence, size_t offset,
                       std::span<float> out)
      : group_(std::move(group)), sequence_(sequence), offset_(offset), out_(out) {}
  absl::Status Wait() override {
    MUSTER_ASSIGN_OR_RETURN(const std::vector<Blob>* blobs, group_->Wait(sequence_));
    SumSlice(*blobs, offset_, out_);
    group_->Done(sequence_);
    return absl::OkStatus();
  }

 private:
  std::shared_ptr<Meeting> group_;
  uint64_t sequence_;
  size_t offset_;
  std::span<float> out_;
};

class AllGatherPending : public Pending {
 public:
  AllGatherPending(std::shared_ptr<Meeting> group, uint64_t sequence, std::span<float> out)
      : group_(std::move(group)), sequence_(sequence), out_(out) {}
  absl::Status Wait() override {
    MUSTER_ASSIGN_OR_RETURN(const std::vector<Blob>* blobs, group_->Wait(sequence_));
    auto* place = reinterpret_cast<std::byte*>(out_.data());
    size_t left = out_.size_bytes();
    for (const Blob& blob : *blobs) {
      CHECK(blob.size() <= left, "ranks gave more than the counts say");
      if (!blob.empty()) std::memcpy(place, blob.data(), blob.size());
      place += blob.size();
      left -= blob.size();
    }
    CHECK(left == 0, "ranks gave less than the counts say");
    group_->Done(sequence_);
    return absl::OkStatus();
  }

 private:
  std::shared_ptr<Meeting> group_;
  uint64_t sequence_;
  std::span<float> out_;
};

class InProcess : public Collective {
 public:
  InProcess(std::shared_ptr<Meeting> group, int rank) : group_(std::move(group)), rank_(rank) {}
  ~InProcess() override { group_->Leave(rank_); }

  int rank() const override { return rank_; }
  int size() const override { return group_->size(); }

  absl::Status AllReduce(std::span<float> data) override {
    const uint64_t sequence = Post(Copy(std::span<const float>(data)));
    MUSTER_ASSIGN_OR_RETURN(const std::vector<Blob>* blobs, group_->Wait(sequence));
    SumSlice(*blobs, 0, data);
    group_->Done(sequence);
    return absl::OkStatus();
  }

  absl::Status AllReduceMax(std::span<float> data) override {
    const uint64_t sequence = Post(Copy(std::span<const float>(data)));
    MUSTER_ASSIGN_OR_RETURN(const std::vector<Blob>* blobs, group_->Wait(sequence));
    for (const Blob& blob : *blobs) {
      CHECK(blob.size() == data.size_bytes(), "ranks gave unlike lengths");
      for (size_t i = 0; i < data.size(); ++i) data[i] = std::max(data[i], Floats(blob)[i]);
    }
    group_->Done(sequence);
    return absl::OkStatus();
  }

  absl::StatusOr<std::unique_ptr<Pending>> StartReduceScatter(
      std::span<const float> in, std::span<float> out, std::span<const size_t> counts) override {
    CheckCounts(counts, in.size(), out.size());
    const uint64_t sequence = Post(Copy(in));
    const size_t offset = Sum(counts.first(static_cast<size_t>(rank_)));
    return std::make_unique<ReduceScatterPending>(group_, sequence, offset, out);
  }

  absl::StatusOr<std::unique_ptr<Pending>> StartAllGather(std::span<const float> in,
                                                          std::span<float> out,
                                                          std::span<const size_t> counts) override {
    CheckCounts(counts, out.size(), in.size());
    return std::make_unique<AllGatherPending>(group_, Post(Copy(in)), out);
  }

  absl::Status Progress() override { return absl::OkStatus(); }

  absl::Status Broadcast(std::span<std::byte> data, int root) override {
    const uint64_t sequence = Post(rank_ == root ? Copy(std::span<const std::byte>(data)) : Blob());
    MUSTER_ASSIGN_OR_RETURN(const std::vector<Blob>* blobs, group_->Wait(sequence));
    const Blob& blob = (*blobs)[static_cast<size_t>(root)];
    CHECK(blob.size() == data.size(), "ranks gave unlike lengths");
    if (rank_ != root && !data.empty()) std::memcpy(data.data(), blob.data(), data.size());
    group_->Done(sequence);
    return absl::OkStatus();
  }

  absl::StatusOr<std::vector<Blob>> AllGatherBytes(std::span<const std::byte> data) override {
    const uint64_t sequence = Post(Copy(data));
    MUSTER_ASSIGN_OR_RETURN(const std::vector<Blob>* blobs, group_->Wait(sequence));
    std::vector<Blob> result = *blobs;
    group_->Done(sequence);
    return result;
  }

  absl::StatusOr<std::vector<Blob>> AllToAllBytes(const std::vector<Blob>& to) override {
    CHECK(to.size() == static_cast<size_t>(size()), "{} blobs for {} ranks", to.size(), size());
    // One blob: where each rank's part ends, then the parts.
    std::vector<uint64_t> ends;
    uint64_t end = 0;
    for (const Blob& one : to) ends.push_back(end += one.size());
    Blob packed = Copy(std::as_bytes(std::span(ends)));
    const size_t table = packed.size();
    packed.reserve(table + end);
    for (const Blob& one : to) packed.insert(packed.end(), one.begin(), one.end());
    const uint64_t sequence = Post(std::move(packed));
    MUSTER_ASSIGN_OR_RETURN(const std::vector<Blob>* blobs, group_->Wait(sequence));
    std::vector<Blob> result;
    for (const Blob& blob : *blobs) {
      uint64_t from_to[2] = {0, 0};
      const auto me = static_cast<size_t>(rank_);
      if (me == 0) {
        std::memcpy(&from_to[1], blob.data(), sizeof(uint64_t));
      } else {
        std::memcpy(from_to, blob.data() + (me - 1) * sizeof(uint64_t), sizeof(from_to));
      }
      const std::byte* parts = blob.data() + table;
      result.emplace_back(parts + from_to[0], parts + from_to[1]);
    }
    group_->Done(sequence);
    return result;
  }

  absl::Status Barrier() override { return AllGatherBytes({}).status(); }

  absl::StatusOr<std::unique_ptr<Collective>> Split(int color) override {
    const uint64_t sequence = next_;
    MUSTER_ASSIGN_OR_RETURN(std::vector<Blob> colors,
                            AllGatherBytes(std::as_bytes(std::span(&color, 1))));
    int size = 0;
    int place = 0;
    for (size_t r = 0; r < colors.size(); ++r) {
      int other = 0;
      std::memcpy(&other, colors[r].data(), sizeof(other));
      if (other != color) continue;
      if (static_cast<int>(r) < rank_) ++place;
      ++size;
    }
    return std::make_unique<InProcess>(group_->Child(sequence, color, size), place);
  }

 private:
  uint64_t Post(Blob blob) {
    group_->Post(next_, rank_, std::move(blob));
    return next_++;
  }

  void CheckCounts(std::span<const size_t> counts, size_t whole, size_t part) const {
    CHECK(counts.size() == static_cast<size_t>(size()), "{} counts for {} ranks", counts.size(),
          size());
    CHECK(Sum(counts) == whole, "counts sum to {}, the buffer has {}", Sum(counts), whole);
    CHECK(counts[static_cast<size_t>(rank_)] == part, "rank {} has {} floats, its count says {}",
          rank_, part, counts[static_cast<size_t>(rank_)]);
  }

  std::shared_ptr<Meeting> group_;
  int rank_;
  uint64_t next_ = 0;
};

}  // namespace

std::vector<std::unique_ptr<Collective>> MakeInProcessWorld(int size) {
  CHECK(size > 0, "a world of {} ranks", size);
  auto group = std::make_shared<Meeting>(size);
  std::vector<std::unique_ptr<Collective>> world;
  for (int r = 0; r < size; ++r) world.push_back(std::make_unique<InProcess>(group, r));
  return world;
}

}  // namespace muster::trainer::collective
