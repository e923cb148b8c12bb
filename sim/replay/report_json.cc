#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "sim/replay/report.h"
#include "sim/replay/tables.h"

namespace muster::sim::replay {
namespace {

using Json = nlohmann::ordered_json;

double Seconds(Micros span) { return static_cast<double>(span) / kSecond; }

Json LedgerJson(const TimeBook& book) {
  Json ledger = Json::object();
  for (int kind = v1::LEDGER_KIND_PRODUCTIVE; v1::LedgerKind_IsValid(kind); ++kind) {
    const auto which = static_cast<v1::LedgerKind>(kind);
    std::string name = KindName(which);
    std::replace(name.begin(), name.end(), ' ', '_');
    ledger[name + "_seconds"] = Seconds(book.of(which));
  }
  ledger["wall_seconds"] = Seconds(book.total());
  return ledger;
}

Json OutageJson(const Outage& outage) {
  Json json = {{"at_seconds", Seconds(outage.at)},
               {"cause", outage.cause},
               {"shows_as", KindText(outage.kind)},
               {"attempt", outage.number},
               {"nodes", outage.nodes_hit},
               {"rung", RungName(outage.rung)},
               {"attempts", outage.attempts},
               {"steps_lost", outage.steps_lost},
               {"down_seconds", Seconds(outage.Down())},
               {"all_seconds", Seconds(outage.All())},
               {"over", outage.over}};
  for (size_t i = 0; i < kOutagePhases; ++i) {
    json["phases"][kOutagePhaseNames[i]] = Seconds(outage.spent[i]);
  }
  return json;
}

Json RowJson(const Row& row) {
  const ReplayResult& result = row.result;
  const JobTimes& big = result.jobs.at(1);
  Json json = {{"policy", row.policy},
               {"goodput", Goodput(result)},
               {"goodput_by_coordinator", CoreGoodput(result)},
               {"interval_seconds", Seconds(row.options.interval)},
               {"checkpoints", result.checkpoints},
               {"attempts", big.attempts},
               {"faults", result.faults},
               {"faults_of_the_job", result.faults_hit_big},
               {"steps", big.book.best_step()},
               {"steps_again", big.book.steps_again()},
               {"ledger", LedgerJson(big.book)},
               {"ended", big.ended ? big.end_reason : ""}};
  json["incidents"] = Json::array();
  for (const Outage& outage : result.outages) {
    if (outage.job == 1) json["incidents"].push_back(OutageJson(outage));
  }
  std::vector<Micros> waits;
  for (const auto& [id, times] : result.jobs) {
    if (id != 1 && times.placed >= 0) waits.push_back(times.placed - times.submitted);
  }
  std::sort(waits.begin(), waits.end());
  json["small_jobs"] = {{"submitted", result.jobs.size() - 1},
                        {"wait_p50_seconds", Seconds(Percentile(waits, 0.5))},
                        {"wait_p99_seconds", Seconds(Percentile(waits, 0.99))},
                        {"wait_max_seconds", Seconds(Percentile(waits, 1))}};
  return json;
}

}  // namespace

std::string ReportJson(const Plan& plan, const std::vector<Row>& rows) {
  const ReplayOptions& options = rows.front().options;
  Json json = {
      {"nodes", options.big.nodes},
      {"spares", options.big.spares},
      {"gpus", options.big.nodes * kSlots},
      {"days", static_cast<double>(options.span) / static_cast<double>(kDay)},
      {"seed", options.seed},
      {"faults", plan.faults},
      {"correlated", plan.correlated},
      {"faults_per_node_day", plan.per_node_day},
      {"worst_tenth_share", plan.worst_tenth},
      {"between_failures_seconds", Seconds(plan.between_failures)},
      {"away", {{"mean", plan.away.mean}, {"p99", plan.away.p99}, {"max", plan.away.max}}}};
  json["policies"] = Json::array();
  for (const Row& row : rows) json["policies"].push_back(RowJson(row));
  return json.dump(2);
}

}  // namespace muster::sim::replay
