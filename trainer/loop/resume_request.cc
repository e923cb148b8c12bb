#include "trainer/loop/resume_request.h"

#include <algorithm>

#include "common/status.h"
#include "trainer/loop/checkpoint_sections.h"
#include "trainer/loop/model_json.h"

namespace muster::trainer::loop {

std::vector<checkpoint::Request> RequestsOf(const std::vector<rank::Section>& needed,
                                            const checkpoint::Manifest& manifest, bool from_init) {
  const bool has_moments =
      std::any_of(manifest.tensors.begin(), manifest.tensors.end(),
                  [](const checkpoint::Tensor& tensor) { return IsMoment(tensor.name); });
  std::vector<checkpoint::Request> requests;
  for (const rank::Section& section : needed) {
    if (from_init && !has_moments && IsMoment(section.box.tensor)) continue;
    requests.push_back({section.box, section.bytes});
  }
  return requests;
}

absl::Status CheckModel(const checkpoint::Manifest& manifest, const std::string& folder,
                        const parallel::ModelConfig& model) {
  MUSTER_ASSIGN_OR_RETURN(const parallel::ModelConfig saved,
                          ParseModelJson(manifest.run.model_json));
  if (ModelJson(saved) == ModelJson(model)) return absl::OkStatus();
  return FailedPrecondition(
      "{}: saved from the model {}, the job says {}; use the model it was "
      "saved from, or another checkpoint folder",
      folder, ModelJson(saved), ModelJson(model));
}

}  // namespace muster::trainer::loop
