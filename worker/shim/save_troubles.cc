#include "worker/shim/save_troubles.h"

namespace muster::worker::shim {

bool SaveTroubles::Take(uint32_t rank, const muster_frame_save_trouble& said,
                        const std::string& text) {
  if (said.kind == 0 || !v1::SaveTroubleKind_IsValid(static_cast<int>(said.kind))) return false;
  std::map<uint32_t, v1::SaveTrouble>& of_rank = troubles_[rank];
  if (text.empty()) return of_rank.erase(said.kind) > 0;
  v1::SaveTrouble& trouble = of_rank[said.kind];
  const std::string whole = text.substr(0, MUSTER_SAVE_TROUBLE_BYTES_MAX);
  if (trouble.text() == whole && trouble.step() == said.step) return false;
  trouble.set_kind(static_cast<v1::SaveTroubleKind>(said.kind));
  trouble.set_step(said.step);
  trouble.set_text(whole);
  return true;
}

void SaveTroubles::AddTo(v1::RankReport* report) const {
  const auto found = troubles_.find(report->rank());
  if (found == troubles_.end()) return;
  for (const auto& [kind, trouble] : found->second) *report->add_save_troubles() = trouble;
}

}  // namespace muster::worker::shim
