// Loads the newest good checkpoint into a rank's memory, whatever layout wrote it.
//
// Rank 0 chooses and proves the whole checkpoint; every rank then loads its own boxes and checks
// what it reads again. If any rank finds damage, all step back to the next older one.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "checkpoint/file_system.h"
#include "checkpoint/manifest.h"
#include "checkpoint/resume.h"
#include "rank/checkpoint/console.h"
#include "trainer/loop/checkpoint_sections.h"
#include "trainer/loop/rank_groups.h"

namespace muster::trainer::loop {

struct ResumeRequest {
  std::string root;  // folder of the job's checkpoints
  // What the coordinator permitted, newest first; nullopt: started without one, take what is there.
  std::optional<std::vector<checkpoint::Permitted>> permitted;
  std::string init_from;   // one checkpoint's folder, for a job with none of its own; or ""
  std::string model_json;  // of this job; a checkpoint of another model is refused
  // Collective, after every rank has filled its sections; kDataLoss counts as damage. None: no
  // check.
  std::function<absl::Status(const checkpoint::Manifest&)> check;
};

struct Resumed {
  std::string folder;
  checkpoint::Manifest manifest;
  bool from_init = false;  // from init_from: another job's
  bool from_ram = false;   // not from `folder`: from the ranks' RAM slots (ram_resume.h)
};

// The newest checkpoint on storage that a resume would try, by its COMMIT alone; nullopt: none. One
// that cannot be looked at counts.
std::optional<checkpoint::CheckpointId> NewestStored(const ResumeRequest& request,
                                                     checkpoint::FileSystem& files);

// Collective over the world; the same on every rank. nullopt: nothing to go on from, `sections` are
// untouched. Errors: kDataLoss when there are checkpoints and none is whole.
absl::StatusOr<std::optional<Resumed>> LoadNewest(const ResumeRequest& request,
                                                  const std::vector<rank::Section>& sections,
                                                  RankGroups& groups, const rank::Console& console,
                                                  checkpoint::FileSystem& files);

// Collective over the world: the number of an attempt that nobody numbered, one above the highest
// in the folder `root`.
absl::StatusOr<uint64_t> NextAttempt(const std::string& root, RankGroups& groups,
                                     checkpoint::FileSystem& files);

}  // namespace muster::trainer::loop
