// Memory of this rank and which box of a checkpoint it is.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "checkpoint/box.h"
#include "checkpoint/shard.h"

namespace muster::rank {

struct Section {
  checkpoint::Box box;
  std::span<std::byte> bytes;  // ByteCount(box) of them
};

// The sections as what a shard is made of.
std::vector<checkpoint::Slice> SlicesOf(const std::vector<Section>& sections);

}  // namespace muster::rank
