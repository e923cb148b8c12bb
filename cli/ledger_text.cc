#include "cli/ledger_text.h"

#include <fmt/format.h>

#include <vector>

#include "absl/time/time.h"
#include "cli/table.h"
#include "common/duration.h"
#include "common/terminal.h"
#include "spec/enum_word.h"

namespace muster::cli {
namespace {

std::string Span(double seconds) { return DurationText(absl::Seconds(seconds)); }

std::string SlotHours(double slot_seconds) {
  const double hours = slot_seconds / 3600;
  return hours < 10 ? fmt::format("{:.4f}", hours) : fmt::format("{:.1f}", hours);
}

std::string Share(double part, double whole) {
  return whole > 0 ? fmt::format("{:.1f} %", 100 * part / whole) : "-";
}

std::string Money(const v1::Ledger& ledger, double cost) {
  return fmt::format("{:.2f} {}", cost, Printable(ledger.currency()));
}

bool IsEmpty(const v1::LedgerEntry& entry) {
  return entry.wall_seconds() <= 0 && entry.slot_seconds() <= 0;
}

std::string Counted(uint64_t count, const char* one) {
  return fmt::format("{} {}{}", count, one, count == 1 ? "" : "s");
}

std::string CausesText(const v1::Ledger& ledger, bool priced) {
  if (ledger.causes_size() == 0) return "";
  std::vector<std::string> header = {"CAUSE", "BLAME", "INCIDENTS", "SLOT-HOURS"};
  if (priced) header.push_back("COST");
  Table table(header);
  for (const v1::LedgerCause& cause : ledger.causes()) {
    std::vector<std::string> row = {
        cause.cause(), cause.blame() == v1::BLAME_UNSPECIFIED ? "-" : spec::EnumWord(cause.blame()),
        std::to_string(cause.incidents()), SlotHours(cause.slot_seconds())};
    if (priced) row.push_back(Money(ledger, cause.cost()));
    table.AddRow(row);
  }
  return "\n" + table.Text();
}

}  // namespace

std::string LedgerText(const v1::Ledger& ledger, bool all) {
  const bool priced = ledger.price_per_slot_hour() > 0;
  std::vector<std::string> header = {"KIND", "WALL", "SLOT-HOURS", "SHARE"};
  if (priced) header.push_back("COST");
  Table table(header);
  for (const v1::LedgerEntry& entry : ledger.entries()) {
    if (!all && IsEmpty(entry)) continue;
    const bool held = entry.kind() != v1::LEDGER_KIND_WAITING;
    std::vector<std::string> row = {
        spec::EnumWord(entry.kind()), Span(entry.wall_seconds()),
        held ? SlotHours(entry.slot_seconds()) : "-",
        held ? Share(entry.slot_seconds(), ledger.slot_seconds()) : "-"};
    if (priced) row.push_back(held ? Money(ledger, entry.cost()) : "-");
    table.AddRow(row);
  }
  std::vector<std::string> total = {"total", Span(ledger.wall_seconds()),
                                    SlotHours(ledger.slot_seconds()),
                                    ledger.slot_seconds() > 0 ? "100.0 %" : "-"};
  if (priced) total.push_back(Money(ledger, ledger.cost()));
  table.AddRow(total);
  std::string out = table.Text();
  out += fmt::format("\nGoodput {:.1f} %: {}, {}, {} recomputed", 100 * ledger.goodput(),
                     Counted(ledger.jobs(), "job"), Counted(ledger.attempts(), "attempt"),
                     Counted(ledger.steps_recomputed(), "step"));
  if (priced) {
    out += fmt::format("; {} {} per slot-hour", ledger.price_per_slot_hour(),
                       Printable(ledger.currency()));
  }
  return out + "\n" + CausesText(ledger, priced);
}

std::string LedgerLines(const v1::Ledger& ledger) {
  if (ledger.wall_seconds() <= 0) return "";
  std::string out = fmt::format("Goodput:      {:.1f} % of {} slot-hours", 100 * ledger.goodput(),
                                SlotHours(ledger.slot_seconds()));
  if (ledger.price_per_slot_hour() > 0) out += fmt::format(", {}", Money(ledger, ledger.cost()));
  out += fmt::format("; {} since the first placement\n", Span(ledger.wall_seconds()));
  for (const v1::LedgerEntry& entry : ledger.entries()) {
    if (IsEmpty(entry)) continue;
    out += fmt::format("  {:<18}{:<10}", spec::EnumWord(entry.kind()), Span(entry.wall_seconds()));
    out += entry.kind() == v1::LEDGER_KIND_WAITING
               ? "no slots\n"
               : Share(entry.slot_seconds(), ledger.slot_seconds()) + "\n";
  }
  return out;
}

}  // namespace muster::cli
