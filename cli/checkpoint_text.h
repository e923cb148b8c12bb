// Checkpoints as text for people.
#pragma once

#include <string>
#include <vector>

#include "checkpoint/store.h"
#include "muster/v1/job.pb.h"

namespace muster::cli {

// What the coordinator has recorded, newest first; `margin` goes in front of every line.
std::string CheckpointRefTable(const v1::Job& job, const std::string& margin);

// What lies in a folder, as ListCheckpoints found it.
std::string CheckpointEntryTable(const std::vector<checkpoint::CheckpointEntry>& entries);

}  // namespace muster::cli
