#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <memory>

#include "checkpoint/diff.h"
#include "cli/checkpoint_folder.h"
#include "cli/ckpt_commands.h"
#include "cli/exit_codes.h"
#include "cli/table.h"
#include "common/status.h"

namespace muster::cli {
namespace {

using Json = nlohmann::ordered_json;
using checkpoint::DiffReport;
using checkpoint::TensorDiff;

struct DiffFlags {
  std::string a, b;
  std::string only;
  bool all = false;
};

std::string ShapeText(checkpoint::DType dtype, const std::vector<uint64_t>& shape) {
  return fmt::format("{}[{}]", checkpoint::DTypeName(dtype), fmt::join(shape, ","));
}

struct Sums {
  uint64_t elements = 0, differing = 0, tensors = 0;
  double max_abs = 0;
};

Sums SumsOf(const DiffReport& report) {
  Sums sums;
  for (const TensorDiff& tensor : report.tensors) {
    sums.elements += tensor.elements;
    sums.differing += tensor.differing;
    sums.max_abs = std::max(sums.max_abs, tensor.max_abs);
    if (!tensor.identical()) ++sums.tensors;
  }
  return sums;
}

// JSON has no infinity: where a NaN meets a number the difference is null.
Json Finite(double value) { return std::isfinite(value) ? Json(value) : Json(nullptr); }

Json ToJson(const std::string& a, const std::string& b, const DiffReport& report, bool all) {
  Json tensors = Json::array();
  for (const TensorDiff& tensor : report.tensors) {
    if (tensor.identical() && !all) continue;
    tensors.push_back({{"name", tensor.name},
                       {"a", ShapeText(tensor.dtype_a, tensor.shape_a)},
                       {"b", ShapeText(tensor.dtype_b, tensor.shape_b)},
                       {"identical", tensor.identical()},
                       {"elements", tensor.elements},
                       {"differing", tensor.differing},
                       {"max_abs", Finite(tensor.max_abs)},
                       {"max_rel", Finite(tensor.max_rel)}});
  }
  const Sums sums = SumsOf(report);
  return {{"a", a},
          {"b", b},
          {"identical", report.identical()},
          {"tensors_compared", report.tensors.size()},
          {"elements", sums.elements},
          {"differing", sums.differing},
          {"only_a", report.only_a},
          {"only_b", report.only_b},
          {"tensors", tensors}};
}

void PrintTable(const DiffReport& report, bool all) {
  for (const std::string& name : report.only_a) fmt::print("only in the first: {}\n", name);
  for (const std::string& name : report.only_b) fmt::print("only in the second: {}\n", name);
  Table table({"TENSOR", "SHAPE", "DIFFERING", "OF", "MAX ABS", "MAX REL"});
  bool rows = false;
  for (const TensorDiff& tensor : report.tensors) {
    if (tensor.identical() && !all) continue;
    rows = true;
    if (!tensor.comparable()) {
      table.AddRow({tensor.name,
                    ShapeText(tensor.dtype_a, tensor.shape_a) + " / " +
                        ShapeText(tensor.dtype_b, tensor.shape_b),
                    "not comparable", "-", "-", "-"});
    } else {
      table.AddRow({tensor.name, ShapeText(tensor.dtype_a, tensor.shape_a),
                    std::to_string(tensor.differing), std::to_string(tensor.elements),
                    fmt::format("{:.3g}", tensor.max_abs), fmt::format("{:.3g}", tensor.max_rel)});
    }
  }
  if (rows) fmt::print("{}", table.Text());
}

absl::StatusOr<int> Diff(Session& session, const DiffFlags& flags) {
  const std::string what = fmt::format("diff {} {}", flags.a, flags.b);
  const auto a = FindOneCheckpoint(session, flags.a);
  if (!a.ok()) return During(what, a.status());
  const auto b = FindOneCheckpoint(session, flags.b);
  if (!b.ok()) return During(what, b.status());
  Bar bar;
  const auto report = checkpoint::Diff(
      *a, *b, flags.only, [&](uint64_t done, uint64_t total) { bar.Show("compare", done, total); });
  bar.Clear();
  if (!report.ok()) return During(what, report.status());
  if (report->tensors.empty() && report->only_a.empty() && report->only_b.empty()) {
    return NotFound("{}: no tensor's name begins with \"{}\"; see: muster ckpt show {} --tensors",
                    what, flags.only, *a);
  }
  if (session.machine_readable()) {
    PrintJson(session, ToJson(*a, *b, *report, flags.all));
  } else {
    const Sums sums = SumsOf(*report);
    PrintTable(*report, flags.all);
    if (report->identical()) {
      fmt::print("bit-identical: {}, {}\n", Counted(report->tensors.size(), "tensor"),
                 Counted(sums.elements, "element"));
    } else {
      fmt::print(
          "different: {} of {}, {} of {}, at most by {:.3g}{}\n", sums.tensors,
          Counted(report->tensors.size(), "tensor"), sums.differing,
          Counted(sums.elements, "element"), sums.max_abs,
          report->only_a.empty() && report->only_b.empty()
              ? ""
              : fmt::format("; {} in one alone",
                            Counted(report->only_a.size() + report->only_b.size(), "tensor")));
    }
  }
  return report->identical() ? kExitOk : kExitError;
}

}  // namespace

Command CkptDiffCommand(Session* session) {
  auto flags = std::make_shared<DiffFlags>();
  Command diff;
  diff.name = "diff";
  diff.summary = "Compare two checkpoints tensor by tensor; exit code 1 if they differ";
  diff.examples = R"(  muster ckpt diff gpt-stdlib@100 gpt-stdlib@200
  muster ckpt diff runs/a/step-0000000200.a1 runs/b/step-0000000200.a3   layouts may differ
  muster ckpt diff gpt-a gpt-b --only model.layers.0. --all)";
  diff.options = {{"A",
                   &flags->a,
                   "a checkpoint's folder, or a job or folder of checkpoints [@STEP]",
                   true,
                   {}},
                  {"B", &flags->b, "the same", true, {}},
                  {"--only", &flags->only, "tensors whose name begins so", false, {}},
                  {"--all", &flags->all, "list the identical ones too", false, {}}};
  diff.run = [session, flags] { return Diff(*session, *flags); };
  return diff;
}

}  // namespace muster::cli
