// rank/muster_checkpoint.h over ProgramCheckpoints.
#include <cerrno>
#include <cstdio>
#include <memory>
#include <string>
#include <utility>

#include "common/status.h"
#include "rank/checkpoint/agree.h"
#include "rank/checkpoint/given_group.h"
#include "rank/checkpoint/program_checkpoints.h"
#include "rank/checkpoint/worker_link.h"
#include "rank/muster_checkpoint.h"

namespace {

using muster::rank::ProgramCheckpoints;

struct CloseLink {
  void operator()(muster_rank* link) const { muster_rank_close(link); }
};

// Of an open that failed.
thread_local std::string open_error;  // NOLINT(runtime/string): freed with its thread

int ErrnoOf(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kOk:
      return 0;
    case absl::StatusCode::kInvalidArgument:
      return -EINVAL;
    case absl::StatusCode::kFailedPrecondition:
      return -EPERM;
    case absl::StatusCode::kDataLoss:
      return -EBADMSG;
    case absl::StatusCode::kNotFound:
      return -ENOENT;
    case absl::StatusCode::kResourceExhausted:
      return -ENOSPC;
    case absl::StatusCode::kDeadlineExceeded:
      return -ETIMEDOUT;
    default:
      return -EIO;
  }
}

void Print(const std::string& line) {
  std::fprintf(stderr, "muster: %s\n", line.c_str());
  std::fflush(stderr);
}

}  // namespace

struct muster_checkpoint {
  absl::Status Open(muster_rank* given_link, const muster_checkpoint_group* given_group);
  int Result(const absl::Status& status) const;
  void Publish(muster_phase phase);

  std::unique_ptr<muster_rank, CloseLink> own_link;  // null: none, or the program's
  muster_rank* link = nullptr;
  muster::rank::GivenGroup group;
  std::unique_ptr<muster::rank::WorkerSaveLink> save_link;
  std::unique_ptr<ProgramCheckpoints> engine;
  std::string state;
  mutable std::string error;
};

int muster_checkpoint::Result(const absl::Status& status) const {
  if (!status.ok()) error = std::string(status.message());
  return ErrnoOf(status);
}

absl::Status muster_checkpoint::Open(muster_rank* given_link,
                                     const muster_checkpoint_group* given_group) {
  if (given_group != nullptr) {
    const bool alone = given_group->size == 1;
    if (given_group->rank >= given_group->size ||
        (!alone && (given_group->all_gather == nullptr || given_group->all_to_all == nullptr))) {
      return muster::InvalidArgument(
          "the group: rank {} of {}, {}", given_group->rank, given_group->size,
          given_group->all_gather == nullptr || given_group->all_to_all == nullptr
              ? "and a function is missing"
              : "no such rank");
    }
    group = muster::rank::GivenGroup(*given_group);
  }
  absl::Status linked;
  link = given_link;
  if (link == nullptr) {
    muster_rank* opened = nullptr;
    const int code = muster_rank_open(&opened);
    own_link.reset(opened);
    link = opened;
    if (code != 0 && code != -ENOENT) linked = muster::rank::LinkStatus(nullptr, code);
    if (link != nullptr) {
      linked = muster::rank::LinkStatus(link,
                                        muster_rank_hello(link, static_cast<uint32_t>(group.rank()),
                                                          static_cast<uint32_t>(group.size())));
    }
  }
  MUSTER_RETURN_IF_ERROR(muster::rank::Agree(group, linked));
  if (link != nullptr) save_link = std::make_unique<muster::rank::WorkerSaveLink>(link);
  absl::StatusOr<muster::rank::JobSettings> job = muster::rank::ReadJobSettings();
  MUSTER_RETURN_IF_ERROR(muster::rank::Agree(group, job.status()));
  muster::rank::ProgramOptions options;
  options.job = *std::move(job);
  engine = std::make_unique<ProgramCheckpoints>(std::move(options), group, save_link.get(),
                                                muster::rank::Console{Print, Print},
                                                muster::checkpoint::PosixFiles());
  return engine->Start();
}

void muster_checkpoint::Publish(muster_phase phase) {
  if (own_link == nullptr) return;
  muster_rank_status status = {};
  status.phase = phase;
  muster_checkpoint_status(this, &status);
  muster_rank_publish(link, &status);
}

int muster_checkpoint_open(muster_checkpoint** c, muster_rank* link,
                           const muster_checkpoint_group* group) {
  auto opened = std::make_unique<muster_checkpoint>();
  const absl::Status status = opened->Open(link, group);
  *c = nullptr;
  if (!status.ok()) {
    open_error = std::string(status.message());
    return ErrnoOf(status);
  }
  *c = opened.release();
  return 0;
}

int muster_checkpoint_add(muster_checkpoint* c, const muster_checkpoint_region* region) {
  using muster::checkpoint::DType;
  constexpr uint32_t kAxesMax = 8;
  if (region->name == nullptr || region->axes > kAxesMax ||
      (region->axes > 0 && region->shape == nullptr)) {
    return c->Result(muster::InvalidArgument(
        "region \"{}\": {} axes; give a name, at most {} axes "
        "and their sizes",
        region->name == nullptr ? "" : region->name, region->axes, kAxesMax));
  }
  if (region->dtype < MUSTER_DTYPE_F64 || region->dtype > MUSTER_DTYPE_U8 ||
      region->writer > MUSTER_WRITER_OTHER) {
    return c->Result(muster::InvalidArgument("region \"{}\": dtype {} or writer {} is none",
                                             region->name, static_cast<int>(region->dtype),
                                             static_cast<int>(region->writer)));
  }
  muster::rank::Region added;
  muster::checkpoint::Box& box = added.section.box;
  box.tensor = region->name;
  box.dtype = static_cast<DType>(region->dtype - MUSTER_DTYPE_F64);
  for (uint32_t axis = 0; axis < region->axes; ++axis) {
    const uint64_t offset = region->offset == nullptr ? 0 : region->offset[axis];
    box.shape.push_back(region->shape[axis]);
    box.offset.push_back(offset);
    box.extent.push_back(region->extent == nullptr ? region->shape[axis] : region->extent[axis]);
  }
  if (const absl::Status valid = muster::checkpoint::ValidateBox(box); !valid.ok()) {
    return c->Result(muster::Annotate(valid, "region"));
  }
  const uint64_t bytes = muster::checkpoint::ByteCount(box);
  if (region->data == nullptr && bytes > 0) {
    return c->Result(muster::InvalidArgument("region \"{}\": no memory given", region->name));
  }
  added.section.bytes = {static_cast<std::byte*>(region->data), bytes};
  added.writer = static_cast<muster::rank::Writer>(region->writer);
  return c->Result(c->engine->Add(std::move(added)));
}

int muster_checkpoint_load(muster_checkpoint* c, uint64_t* step, const char** state) {
  c->Publish(MUSTER_PHASE_LOAD);
  absl::StatusOr<ProgramCheckpoints::Loaded> loaded = c->engine->Load();
  if (!loaded.ok()) return c->Result(loaded.status());
  *step = loaded->step;
  c->state = std::move(loaded->state);
  if (state != nullptr) *state = c->state.c_str();
  if (c->link != nullptr) {
    muster_rank_from_memory(c->link, c->engine->facts().from_memory ? 1 : 0);
  }
  c->Publish(MUSTER_PHASE_STEP);
  return 0;
}

int muster_checkpoint_step(muster_checkpoint* c, uint64_t step, const char* state) {
  const absl::Status status = c->engine->Step(step, state == nullptr ? "{}" : state);
  if (status.ok()) c->Publish(MUSTER_PHASE_STEP);
  return c->Result(status);
}

int muster_checkpoint_wait(muster_checkpoint* c) {
  c->engine->Wait();
  return 0;
}

int muster_checkpoint_stop_wanted(const muster_checkpoint* c) {
  return c->engine->stop_wanted() ? 1 : 0;
}

int muster_checkpoint_finish(muster_checkpoint* c) {
  c->Publish(MUSTER_PHASE_SAVE);
  const absl::Status status = c->engine->Finish();
  c->Publish(MUSTER_PHASE_IDLE);
  return c->Result(status);
}

void muster_checkpoint_status(const muster_checkpoint* c, muster_rank_status* status) {
  const ProgramCheckpoints::Facts& facts = c->engine->facts();
  status->step = facts.step;
  status->first_step = facts.first_step;
  status->load_seconds = facts.load_seconds;
  status->checkpoint_seconds = facts.checkpoint_seconds;
  status->step_seconds = facts.step_seconds;
  status->productive_seconds = facts.productive_seconds;
}

void muster_checkpoint_close(muster_checkpoint* c) { delete c; }

const char* muster_checkpoint_error(const muster_checkpoint* c) {
  return c == nullptr ? open_error.c_str() : c->error.c_str();
}
