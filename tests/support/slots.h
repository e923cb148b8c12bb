// RAM slots with content, for tests.
#pragma once

#include <gtest/gtest.h>

#include <cstring>
#include <random>
#include <string>
#include <utility>

#include "checkpoint/digest.h"
#include "checkpoint/ram_slot.h"
#include "checkpoint/slot_file.h"

namespace muster {

// One file of `folder`, sealed, with one tensor of so many random floats.
inline checkpoint::SlotFile SealSlot(const std::string& folder, const checkpoint::SlotId& id,
                                     char letter, size_t floats,
                                     const checkpoint::SlotWants& wants = {},
                                     const std::string& root = "") {
  const std::vector<checkpoint::Box> boxes = {
      checkpoint::WholeTensor("w", checkpoint::DType::kF32, {floats})};
  const auto layout = checkpoint::LayOutShard(checkpoint::WriterName(id.rank), boxes).value();
  auto file = checkpoint::SlotFile::Reserve(
      folder + "/" + checkpoint::SlotFileName(id.rank, letter), checkpoint::SlotBytes(layout));
  EXPECT_TRUE(file.ok()) << file.status();
  checkpoint::RamSlot& slot = file->slot();
  EXPECT_TRUE(slot.BeginFill(id, layout).ok());
  const auto image = slot.image();
  std::mt19937_64 random(id.step * 1000 + id.rank);
  for (size_t at = 0; at + 8 <= image.size(); at += 8) {
    const uint64_t word = random();
    std::memcpy(image.data() + at, &word, 8);
  }
  std::memcpy(image.data(), layout.header.data(), layout.header.size());
  checkpoint::ChunkCrc crc;
  crc.Add(image);
  EXPECT_TRUE(
      slot.Seal({{layout.name, layout.bytes, crc.Finish()}, layout.pieces}, {}, root, wants).ok());
  return *std::move(file);
}

// The shard that is sealed in it.
inline std::string ImageOf(const checkpoint::SlotFile& file) {
  const auto image = file.slot().image(*file.slot().Read());
  return std::string(reinterpret_cast<const char*>(image.data()), image.size());
}

}  // namespace muster
