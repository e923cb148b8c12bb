#include "trainer/collective/mpi/mpi_collective.h"

#define OMPI_SKIP_MPICXX 1  // the C++ classes of old MPI; nobody links their library
#include <mpi.h>

#include <algorithm>
#include <climits>
#include <numeric>
#include <string>
#include <utility>

#include "common/check.h"
#include "common/status.h"
#include "trainer/collective/tree_sum.h"

namespace muster::trainer::collective {
namespace {

constexpr size_t kMaxCount = INT_MAX;              // MPI 3 counts are int
constexpr size_t kMessageBytesMax = 256ull << 20;  // of an all-to-all
constexpr int kAllToAllTag = 1;
constexpr size_t kSmallAllReduce = 8192;  // floats; below, everyone adds everything itself

absl::Status FromMpi(int code, const char* what) {
  if (code == MPI_SUCCESS) return absl::OkStatus();
  char text[MPI_MAX_ERROR_STRING] = {};
  int length = 0;
  MPI_Error_string(code, text, &length);
  return Unavailable("{}: {}", what, std::string(text, static_cast<size_t>(length)));
}

#define MUSTER_MPI(call) MUSTER_RETURN_IF_ERROR(FromMpi(call, #call))

// Counts and displacements as MPI wants them.
struct Layout {
  std::vector<int> counts;
  std::vector<int> offsets;
  size_t total = 0;
};

absl::StatusOr<Layout> LayoutOf(std::span<const size_t> counts) {
  Layout layout;
  for (size_t count : counts) {
    if (count > kMaxCount || layout.total > kMaxCount) {
      return InvalidArgument("MPI collective: {} elements in one call; use smaller buckets",
                             layout.total + count);
    }
    layout.counts.push_back(static_cast<int>(count));
    layout.offsets.push_back(static_cast<int>(layout.total));
    layout.total += count;
  }
  return layout;
}

class ReduceScatterPending : public Pending {
 public:
  absl::Status Wait() override {
    MUSTER_MPI(MPI_Wait(&request, MPI_STATUS_IGNORE));
    std::vector<const float*> parts;
    for (size_t r = 0; r < send.counts.size(); ++r) parts.push_back(&staged[r * out.size()]);
    if (!out.empty()) TreeSum(parts, out);
    return absl::OkStatus();
  }

  Layout send;
  Layout receive;
  std::vector<float> staged;  // everyone's version of our slice, by rank
  std::span<float> out;
  MPI_Request request = MPI_REQUEST_NULL;
};

class AllGatherPending : public Pending {
 public:
  absl::Status Wait() override {
    MUSTER_MPI(MPI_Wait(&request, MPI_STATUS_IGNORE));
    return absl::OkStatus();
  }

  Layout layout;
  MPI_Request request = MPI_REQUEST_NULL;
};

class Mpi : public Collective {
 public:
  Mpi(MPI_Comm comm, bool owned, int rank, int size)
      : comm_(comm), owned_(owned), rank_(rank), size_(size) {}

  ~Mpi() override {
    int finalized = 0;
    MPI_Finalized(&finalized);
    if (owned_ && finalized == 0) MPI_Comm_free(&comm_);
  }

  int rank() const override { return rank_; }
  int size() const override { return size_; }

  absl::Status AllReduce(std::span<float> data) override {
    if (size_ == 1) return absl::OkStatus();
    if (data.size() <= kSmallAllReduce) {
      const auto n = static_cast<size_t>(size_);
      std::vector<float> all(n * data.size());
      const int count = static_cast<int>(data.size());
      MUSTER_MPI(MPI_Allgather(data.data(), count, MPI_FLOAT, all.data(), count, MPI_FLOAT, comm_));
      std::vector<const float*> parts;
      for (size_t r = 0; r < n; ++r) parts.push_back(&all[r * data.size()]);
      if (!data.empty()) TreeSum(parts, data);
      return absl::OkStatus();
    }
    const std::vector<size_t> counts = EvenShares(data.size());
    std::vector<float> mine(counts[static_cast<size_t>(rank_)]);
    MUSTER_RETURN_IF_ERROR(ReduceScatter(data, mine, counts));
    return AllGather(mine, data, counts);
  }

  absl::Status AllReduceMax(std::span<float> data) override {
    if (data.size() > kMaxCount) return InvalidArgument("MPI maximum of {} floats", data.size());
    MUSTER_MPI(MPI_Allreduce(MPI_IN_PLACE, data.data(), static_cast<int>(data.size()), MPI_FLOAT,
                             MPI_MAX, comm_));
    return absl::OkStatus();
  }

  absl::StatusOr<std::unique_ptr<Pending>> StartReduceScatter(
      std::span<const float> in, std::span<float> out, std::span<const size_t> counts) override {
    auto pending = std::make_unique<ReduceScatterPending>();
    MUSTER_ASSIGN_OR_RETURN(pending->send, LayoutOf(counts));
    CheckCounts(counts, pending->send.total, in.size(), out.size());
    const std::vector<size_t> receive(static_cast<size_t>(size_), out.size());
    MUSTER_ASSIGN_OR_RETURN(pending->receive, LayoutOf(receive));
    pending->staged.resize(pending->receive.total + 1);
    pending->out = out;
    MUSTER_MPI(MPI_Ialltoallv(in.data(), pending->send.counts.data(), pending->send.offsets.data(),
                              MPI_FLOAT, pending->staged.data(), pending->receive.counts.data(),
                              pending->receive.offsets.data(), MPI_FLOAT, comm_,
                              &pending->request));
    return pending;
  }

  absl::StatusOr<std::unique_ptr<Pending>> StartAllGather(std::span<const float> in,
                                                          std::span<float> out,
                                                          std::span<const size_t> counts) override {
    auto pending = std::make_unique<AllGatherPending>();
    MUSTER_ASSIGN_OR_RETURN(pending->layout, LayoutOf(counts));
    CheckCounts(counts, pending->layout.total, out.size(), in.size());
    const auto me = static_cast<size_t>(rank_);
    const bool in_place = in.data() == out.data() + pending->layout.offsets[me];
    MUSTER_MPI(MPI_Iallgatherv(in_place ? MPI_IN_PLACE : in.data(),
                               in_place ? 0 : static_cast<int>(in.size()), MPI_FLOAT, out.data(),
                               pending->layout.counts.data(), pending->layout.offsets.data(),
                               MPI_FLOAT, comm_, &pending->request));
    return pending;
  }

  absl::Status Progress() override {
    // Any call runs the library's progress engine; a probe has no effect of its own.
    int flag = 0;
    MUSTER_MPI(MPI_Iprobe(MPI_ANY_SOURCE, MPI_ANY_TAG, comm_, &flag, MPI_STATUS_IGNORE));
    return absl::OkStatus();
  }

  absl::Status Broadcast(std::span<std::byte> data, int root) override {
    for (size_t begin = 0; begin < data.size(); begin += kMaxCount) {
      const size_t count = std::min(kMaxCount, data.size() - begin);
      MUSTER_MPI(MPI_Bcast(data.data() + begin, static_cast<int>(count), MPI_BYTE, root, comm_));
    }
    return absl::OkStatus();
  }

  absl::StatusOr<std::vector<std::vector<std::byte>>> AllGatherBytes(
      std::span<const std::byte> data) override {
    uint64_t length = data.size();
    std::vector<uint64_t> lengths(static_cast<size_t>(size_));
    MUSTER_MPI(MPI_Allgather(&length, 1, MPI_UINT64_T, lengths.data(), 1, MPI_UINT64_T, comm_));
    const std::vector<size_t> counts(lengths.begin(), lengths.end());
    MUSTER_ASSIGN_OR_RETURN(Layout layout, LayoutOf(counts));
    std::vector<std::byte> all(layout.total);
    MUSTER_MPI(MPI_Allgatherv(data.data(), static_cast<int>(length), MPI_BYTE, all.data(),
                              layout.counts.data(), layout.offsets.data(), MPI_BYTE, comm_));
    std::vector<std::vector<std::byte>> blobs;
    for (size_t r = 0; r < counts.size(); ++r) {
      const auto begin = all.begin() + layout.offsets[r];
      blobs.emplace_back(begin, begin + layout.counts[r]);
    }
    return blobs;
  }

  absl::StatusOr<std::vector<std::vector<std::byte>>> AllToAllBytes(
      const std::vector<std::vector<std::byte>>& to) override {
    CHECK(to.size() == static_cast<size_t>(size_), "{} blobs for {} ranks", to.size(), size_);
    const auto me = static_cast<size_t>(rank_);
    std::vector<uint64_t> sent;
    for (const std::vector<std::byte>& one : to) sent.push_back(one.size());
    std::vector<uint64_t> received(to.size());
    MUSTER_MPI(MPI_Alltoall(sent.data(), 1, MPI_UINT64_T, received.data(), 1, MPI_UINT64_T, comm_));
    std::vector<std::vector<std::byte>> from(to.size());
    std::vector<MPI_Request> requests;
    for (size_t i = 1; i < to.size(); ++i) {  // not everybody to rank 0 first
      const size_t r = (me + to.size() - i) % to.size();
      from[r].resize(received[r]);
      MUSTER_RETURN_IF_ERROR(ForEachPart(from[r].size(), [&](size_t begin, int count) {
        return MPI_Irecv(from[r].data() + begin, count, MPI_BYTE, static_cast<int>(r), kAllToAllTag,
                         comm_, &requests.emplace_back());
      }));
    }
    for (size_t i = 1; i < to.size(); ++i) {
      const size_t r = (me + i) % to.size();
      MUSTER_RETURN_IF_ERROR(ForEachPart(to[r].size(), [&](size_t begin, int count) {
        return MPI_Isend(to[r].data() + begin, count, MPI_BYTE, static_cast<int>(r), kAllToAllTag,
                         comm_, &requests.emplace_back());
      }));
    }
    from[me] = to[me];
    MUSTER_MPI(
        MPI_Waitall(static_cast<int>(requests.size()), requests.data(), MPI_STATUSES_IGNORE));
    return from;
  }

  absl::Status Barrier() override {
    MUSTER_MPI(MPI_Barrier(comm_));
    return absl::OkStatus();
  }

  absl::StatusOr<std::unique_ptr<Collective>> Split(int color) override {
    MPI_Comm child = MPI_COMM_NULL;
    MUSTER_MPI(MPI_Comm_split(comm_, color, rank_, &child));
    MUSTER_MPI(MPI_Comm_set_errhandler(child, MPI_ERRORS_RETURN));
    int rank = 0;
    int size = 0;
    MUSTER_MPI(MPI_Comm_rank(child, &rank));
    MUSTER_MPI(MPI_Comm_size(child, &size));
    return std::make_unique<Mpi>(child, true, rank, size);
  }

 private:
  // Messages between the same two ranks come in the order in which they were sent.
  template <typename Start>
  static absl::Status ForEachPart(size_t bytes, const Start& start) {
    for (size_t begin = 0; begin < bytes; begin += kMessageBytesMax) {
      const int count = static_cast<int>(std::min(kMessageBytesMax, bytes - begin));
      MUSTER_RETURN_IF_ERROR(FromMpi(start(begin, count), "MPI all-to-all"));
    }
    return absl::OkStatus();
  }

  std::vector<size_t> EvenShares(size_t total) const {
    const auto n = static_cast<size_t>(size_);
    std::vector<size_t> counts(n, total / n);
    for (size_t r = 0; r < total % n; ++r) ++counts[r];
    return counts;
  }

  void CheckCounts(std::span<const size_t> counts, size_t total, size_t whole, size_t part) const {
    CHECK(counts.size() == static_cast<size_t>(size_), "{} counts for {} ranks", counts.size(),
          size_);
    CHECK(total == whole, "counts sum to {}, the buffer has {}", total, whole);
    CHECK(counts[static_cast<size_t>(rank_)] == part, "rank {} has {} floats, its count says {}",
          rank_, part, counts[static_cast<size_t>(rank_)]);
  }

  MPI_Comm comm_;
  bool owned_;
  int rank_;
  int size_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Collective>> OpenMpiWorld(int expected_size) {
  int provided = 0;
  MUSTER_MPI(MPI_Init_thread(nullptr, nullptr, MPI_THREAD_FUNNELED, &provided));
  MUSTER_MPI(MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN));
  int rank = 0;
  int size = 0;
  MUSTER_MPI(MPI_Comm_rank(MPI_COMM_WORLD, &rank));
  MUSTER_MPI(MPI_Comm_size(MPI_COMM_WORLD, &size));
  if (expected_size > 0 && size != expected_size) {
    return FailedPrecondition(
        "join MPI: the world has {} ranks, the launcher promised {}; the ranks did not find each "
        "other (start them by a muster worker or by mpirun -n {})",
        size, expected_size, expected_size);
  }
  return std::make_unique<Mpi>(MPI_COMM_WORLD, false, rank, size);
}

absl::Status CloseMpiWorld() {
  MUSTER_MPI(MPI_Finalize());
  return absl::OkStatus();
}

}  // namespace muster::trainer::collective
