#include "trainer/loop/checkpoint_sections.h"

#include <string>

#include "trainer/parallel/flat_range.h"

namespace muster::trainer::loop {
namespace {

using parallel::Interval;
using parallel::Piece;

checkpoint::Box BoxOf(const Piece& piece, const char* prefix) {
  checkpoint::Box box;
  box.tensor = prefix + piece.name;
  box.dtype = checkpoint::DType::kF32;
  box.shape.assign(piece.global_shape.begin(), piece.global_shape.end());
  box.offset.assign(piece.offset.begin(), piece.offset.end());
  box.extent.assign(piece.extent.begin(), piece.extent.end());
  return box;
}

Interval FlatInterval(const Piece& piece) {
  return {piece.flat_begin, piece.flat_begin + piece.count};
}

void AddParameter(const Piece& piece, std::span<float> params,
                  std::vector<rank::Section>* sections) {
  sections->push_back(
      {BoxOf(piece, ""), std::as_writable_bytes(params.subspan(piece.flat_begin, piece.count))});
}

void AddMoments(const Piece& piece, optim::Optimizer& optimizer,
                std::vector<rank::Section>* sections) {
  sections->push_back({BoxOf(piece, "adamw.exp_avg."),
                       std::as_writable_bytes(optimizer.ExpAvg(FlatInterval(piece)))});
  sections->push_back({BoxOf(piece, "adamw.exp_avg_sq."),
                       std::as_writable_bytes(optimizer.ExpAvgSq(FlatInterval(piece)))});
}

}  // namespace

bool IsMoment(std::string_view tensor) { return tensor.starts_with("adamw."); }

std::vector<rank::Section> OwnedSections(const parallel::ParameterTable& table,
                                         const optim::ShardPlan& plan, std::span<float> params,
                                         optim::Optimizer& optimizer) {
  std::vector<rank::Section> sections;
  for (const Interval& own : plan.OwnIntervals()) {
    for (const Piece& piece : parallel::PiecesOfRange(table, own)) {
      if (piece.replicated && table.tensor_rank != 0) continue;
      AddParameter(piece, params, &sections);
      AddMoments(piece, optimizer, &sections);
    }
  }
  return sections;
}

std::vector<rank::Section> NeededSections(const parallel::ParameterTable& table,
                                          std::span<float> params, optim::Optimizer* optimizer) {
  std::vector<rank::Section> sections;
  for (const Piece& piece : parallel::PiecesOfRange(table, {0, table.size})) {
    AddParameter(piece, params, &sections);
  }
  if (optimizer == nullptr) return sections;
  for (const Interval& interval : optimizer->updated().intervals) {
    for (const Piece& piece : parallel::PiecesOfRange(table, interval)) {
      AddMoments(piece, *optimizer, &sections);
    }
  }
  return sections;
}

}  // namespace muster::trainer::loop
