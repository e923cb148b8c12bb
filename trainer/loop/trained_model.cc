#include "trainer/loop/trained_model.h"

#include <fstream>
#include <sstream>
#include <utility>

#include "checkpoint/commit.h"
#include "checkpoint/load.h"
#include "checkpoint/resume.h"
#include "common/status.h"
#include "dataset/dataset_info.h"
#include "dataset/digest.h"
#include "trainer/loop/checkpoint_sections.h"
#include "trainer/loop/model_json.h"

namespace muster::trainer::loop {

absl::StatusOr<TrainedModel> LoadTrainedModel(const std::string& path, int batch) {
  TrainedModel trained;
  trained.folder = path;
  while (trained.folder.size() > 1 && trained.folder.back() == '/') trained.folder.pop_back();
  if (!checkpoint::IsCommitted(trained.folder)) {
    MUSTER_ASSIGN_OR_RETURN(checkpoint::ResumeChoice choice,
                            checkpoint::ChooseNewest(trained.folder));
    if (!choice.point.has_value()) {
      return NotFound("{}: no committed checkpoint here; see: muster ckpt list", path);
    }
    trained.folder = choice.point->folder;
  }
  MUSTER_ASSIGN_OR_RETURN(trained.manifest, checkpoint::ReadManifest(trained.folder));
  absl::StatusOr<parallel::ModelConfig> config = ParseModelJson(trained.manifest.run.model_json);
  if (!config.ok()) return Annotate(config.status(), trained.folder);
  MUSTER_ASSIGN_OR_RETURN(trained.model, model::Model::Create(*config, batch, nullptr));
  const parallel::ParameterTable& table = trained.model->table();
  trained.params = kernels::cpu::AlignedFloats(table.size);
  std::vector<checkpoint::Request> requests;
  for (const rank::Section& section : NeededSections(table, trained.params.span(), nullptr)) {
    requests.push_back({section.box, section.bytes});
  }
  MUSTER_RETURN_IF_ERROR(checkpoint::Load(trained.folder, trained.manifest, requests).status());
  return trained;
}

absl::StatusOr<std::unique_ptr<dataset::Tokenizer>> TokenizerOf(const checkpoint::RunState& run,
                                                                const std::string& data) {
  if (run.tokenizer == "byte") return dataset::MakeByteTokenizer();
  const std::string path = (data.empty() ? run.dataset_path : data) + "/tokenizer.model";
  std::ifstream file(path, std::ios::binary);
  std::stringstream model;
  model << file.rdbuf();
  if (!file) {
    return ErrnoError(errno, "read " + path +
                                 " (the checkpoint's tokenizer; give its dataset by "
                                 "--data)");
  }
  const std::string reference = "bpe:" + dataset::Sha256Hex(model.str());
  if (reference != run.tokenizer) {
    return FailedPrecondition(
        "{}: not the tokenizer the model was trained with ({:.16} here, "
        "{:.16} wanted); give the right dataset by --data",
        path, reference, run.tokenizer);
  }
  return dataset::MakeBpeTokenizer(model.str());
}

}  // namespace muster::trainer::loop
