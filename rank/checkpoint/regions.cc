#include "rank/checkpoint/regions.h"

#include <algorithm>
#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "common/status.h"
#include "rank/checkpoint/agree.h"

namespace muster::rank {
namespace {

using checkpoint::Box;
using nlohmann::json;

constexpr int kNobody = -1;

// One part, whoever has it.
struct Part {
  Box box;
  std::vector<int> candidates;  // by rank
  int writer = kNobody;
};

// Order of names, so that every rank goes through the parts in the same one.
using Parts = std::map<std::string, Part>;

std::string TextOf(const std::vector<Region>& regions) {
  json all = json::array();
  for (const Region& region : regions) {
    const Box& box = region.section.box;
    all.push_back({box.tensor, checkpoint::DTypeName(box.dtype), box.shape, box.offset, box.extent,
                   static_cast<int>(region.writer)});
  }
  return all.dump();
}

absl::Status AddPart(const json& row, int rank, Parts* parts) {
  Box box;
  box.tensor = row[0].get<std::string>();
  const auto dtype = checkpoint::DTypeFromName(row[1].get<std::string>());
  if (!dtype.has_value()) return Internal("rank {} sent a dtype of no name", rank);
  box.dtype = *dtype;
  box.shape = row[2].get<std::vector<uint64_t>>();
  box.offset = row[3].get<std::vector<uint64_t>>();
  box.extent = row[4].get<std::vector<uint64_t>>();
  Part& part = (*parts)[checkpoint::BoxText(box)];
  switch (static_cast<Writer>(row[5].get<int>())) {
    case Writer::kOther:
      break;
    case Writer::kAny:
      part.candidates.push_back(rank);
      break;
    case Writer::kThis:
      if (part.writer != kNobody) {
        return InvalidArgument("{}: ranks {} and {} both say that they write it; let one of them",
                               checkpoint::BoxText(box), part.writer, rank);
      }
      part.writer = rank;
      break;
  }
  part.box = std::move(box);
  return absl::OkStatus();
}

void GiveOut(int ranks, Parts* parts) {
  std::vector<uint64_t> bytes(static_cast<size_t>(ranks), 0);
  std::vector<Part*> open;
  for (auto& [name, part] : *parts) {
    if (part.writer != kNobody) {
      bytes[static_cast<size_t>(part.writer)] += checkpoint::ByteCount(part.box);
    } else if (!part.candidates.empty()) {
      open.push_back(&part);
    }
  }
  std::stable_sort(open.begin(), open.end(), [](const Part* a, const Part* b) {
    return checkpoint::ByteCount(a->box) > checkpoint::ByteCount(b->box);
  });
  for (Part* part : open) {
    part->writer =
        *std::min_element(part->candidates.begin(), part->candidates.end(), [&](int a, int b) {
          return bytes[static_cast<size_t>(a)] < bytes[static_cast<size_t>(b)];
        });
    bytes[static_cast<size_t>(part->writer)] += checkpoint::ByteCount(part->box);
  }
}

absl::Status CheckWhole(const Parts& parts) {
  std::map<std::string, std::vector<Box>> written;
  std::map<std::string, const Box*> first;
  for (const auto& [name, part] : parts) {
    const Box& other = *first.emplace(part.box.tensor, &part.box).first->second;
    if (part.box.dtype != other.dtype || part.box.shape != other.shape) {
      return InvalidArgument("regions {} and {} are not of one array", checkpoint::BoxText(other),
                             checkpoint::BoxText(part.box));
    }
    std::vector<Box>& boxes = written[part.box.tensor];
    if (part.writer != kNobody) boxes.push_back(part.box);
  }
  for (const auto& [tensor, boxes] : written) {
    if (boxes.empty()) {
      return InvalidArgument("region \"{}\": no rank writes any of it; let one of them", tensor);
    }
    MUSTER_RETURN_IF_ERROR(Annotate(checkpoint::CheckTiling(boxes), "regions that are written"));
  }
  return absl::OkStatus();
}

absl::StatusOr<Parts> Plan(const std::vector<std::vector<std::byte>>& all) {
  Parts parts;
  try {
    for (size_t rank = 0; rank < all.size(); ++rank) {
      const auto* text = reinterpret_cast<const char*>(all[rank].data());
      for (const json& row : json::parse(text, text + all[rank].size())) {
        MUSTER_RETURN_IF_ERROR(AddPart(row, static_cast<int>(rank), &parts));
      }
    }
  } catch (const json::exception& error) {
    return Internal("the ranks' regions: {}", error.what());
  }
  GiveOut(static_cast<int>(all.size()), &parts);
  MUSTER_RETURN_IF_ERROR(CheckWhole(parts));
  return parts;
}

}  // namespace

absl::StatusOr<std::vector<Section>> ChooseWriters(const std::vector<Region>& mine, Group& group) {
  const std::string text = TextOf(mine);
  MUSTER_ASSIGN_OR_RETURN(const std::vector<std::vector<std::byte>> all,
                          group.AllGatherBytes(std::as_bytes(std::span(text.data(), text.size()))));
  const absl::StatusOr<Parts> parts = Plan(all);
  MUSTER_RETURN_IF_ERROR(Agree(group, parts.status()));
  std::vector<Section> owned;
  for (const Region& region : mine) {
    if (parts->at(checkpoint::BoxText(region.section.box)).writer == group.rank()) {
      owned.push_back(region.section);
    }
  }
  return owned;
}

}  // namespace muster::rank
