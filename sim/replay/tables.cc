#include "sim/replay/tables.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>

namespace muster::sim::replay {
namespace {

// "LEDGER_KIND_CHECKPOINT_STALL" → "checkpoint stall"
std::string Words(std::string name, size_t from) {
  name = name.substr(std::min(from, name.size()));
  for (char& letter : name) {
    letter =
        letter == '_' ? ' ' : static_cast<char>(std::tolower(static_cast<unsigned char>(letter)));
  }
  return name;
}

}  // namespace

std::string Table::Text() const {
  std::vector<size_t> width;
  const auto widen = [&](const std::vector<std::string>& line) {
    for (size_t i = 0; i < line.size(); ++i) {
      if (width.size() <= i) width.push_back(0);
      width[i] = std::max(width[i], line[i].size());
    }
  };
  widen(head_);
  for (const auto& line : lines_) widen(line);
  std::string text;
  const auto write = [&](const std::vector<std::string>& line) {
    std::string row;
    for (size_t i = 0; i < line.size(); ++i) {
      row += i == 0 ? fmt::format("{:<{}}", line[i], width[i])
                    : fmt::format("  {:>{}}", line[i], width[i]);
    }
    text += row.substr(0, row.find_last_not_of(' ') + 1) + "\n";
  };
  write(head_);
  for (const auto& line : lines_) write(line);
  return text;
}

std::string KindName(v1::LedgerKind kind) {
  return Words(v1::LedgerKind_Name(kind), sizeof("LEDGER_KIND_") - 1);
}

std::string RungName(v1::Rung rung) {
  if (rung == v1::RUNG_UNSPECIFIED) return "none";
  return Words(v1::Rung_Name(rung), sizeof("RUNG_") - 1);
}

}  // namespace muster::sim::replay
