#include "rank/checkpoint/section.h"

namespace muster::rank {

std::vector<checkpoint::Slice> SlicesOf(const std::vector<Section>& sections) {
  std::vector<checkpoint::Slice> slices;
  slices.reserve(sections.size());
  for (const Section& section : sections) slices.push_back({section.box, section.bytes});
  return slices;
}

}  // namespace muster::rank
