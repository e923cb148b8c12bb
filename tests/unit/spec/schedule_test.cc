// The parts of a job about where and when it runs: read, written, and every way to be wrong.
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>
#include <random>

#include "job_text.h"
#include "spec/defaults.h"
#include "spec/exact_duration.h"
#include "spec/mesh.h"
#include "spec/names.h"
#include "spec/validate.h"
#include "spec/yaml.h"

namespace muster::spec {
namespace {

std::string FullWith(const std::string& from, const std::string& to) {
  std::string text = kFullJob;
  const size_t at = text.find(from);
  return at == std::string::npos ? "no such text: " + from : text.replace(at, from.size(), to);
}

v1::JobSpec Full() { return ParseAndValidateJobFile(kFullJob, "full").value(); }

TEST(Schedule, EveryKeyIsRead) {
  const v1::JobSpec spec = Full();
  EXPECT_EQ(spec.resources().device(), "H100");
  EXPECT_TRUE(spec.resources().exclusive());
  ASSERT_EQ(spec.placement().select_size(), 2);
  EXPECT_EQ(spec.placement().select(1).name(), "tier");
  EXPECT_EQ(spec.placement().select(1).value(), "1");
  EXPECT_EQ(spec.placement().exclude(0), "n[3-5]");
  EXPECT_EQ(spec.placement().tolerate(0), "maintenance");
  EXPECT_EQ(spec.placement().spread().across(), v1::DOMAIN_RACK);
  EXPECT_EQ(spec.placement().spread().at_least(), 2u);
  EXPECT_EQ(spec.schedule().queue(), "research");
  EXPECT_EQ(spec.schedule().priority(), -5);
  EXPECT_EQ(spec.schedule().time_limit().seconds(), 36 * 3600);
  EXPECT_TRUE(spec.schedule().has_preemptible());
  EXPECT_FALSE(spec.schedule().preemptible());
  EXPECT_EQ(spec.schedule().preempt_grace().seconds(), 90);
  EXPECT_TRUE(spec.schedule().hold());
  ASSERT_EQ(spec.schedule().after_size(), 2);
  EXPECT_EQ(spec.schedule().after(0).job(), "prep");
  EXPECT_EQ(spec.schedule().after(0).when(), v1::AFTER_EVENT_SUCCEEDED);
  EXPECT_EQ(spec.schedule().after(1).job(), "12");
  EXPECT_EQ(spec.schedule().after(1).when(), v1::AFTER_EVENT_ENDED);
  EXPECT_EQ(spec.schedule().array().count(), 10u);
  EXPECT_EQ(spec.schedule().array().at_once(), 2u);
  EXPECT_EQ(spec.recovery().hot_spares(), 1u);
  EXPECT_EQ(spec.recovery().spare_share(), 0.125);
  EXPECT_TRUE(spec.recovery().lend_spares());
  EXPECT_EQ(RanksPerGroup(spec, v1::DOMAIN_NVLINK), 8u);
  EXPECT_EQ(RanksPerGroup(spec, v1::DOMAIN_RACK), 16u);
  EXPECT_EQ(RanksPerGroup(spec, v1::DOMAIN_NODE), 1u);
}

TEST(Schedule, IsWrittenAsPeopleWriteIt) {
  const std::string text = JobSpecToYaml(Full());
  for (const char* line :
       {"within: rack", "select: {zone: a, tier: \"1\"}", "exclude: [\"n[3-5]\", gpu7]",
        "spread: {axis: data, across: rack, at_least: 2}", "time_limit: 1d12h",
        "preempt_grace: 1m30s", "- {job: \"12\", when: ended}", "array: {count: 10, at_once: 2}"}) {
    EXPECT_NE(text.find(line), std::string::npos) << line << "\n" << text;
  }
  for (const std::string& again : {text, JobSpecToJson(Full())}) {
    const auto read = ParseAndValidateJobFile(again, "again");
    ASSERT_TRUE(read.ok()) << read.status() << "\n" << again;
    EXPECT_EQ(read->SerializeAsString(), Full().SerializeAsString()) << again;
  }
}

TEST(Schedule, DefaultsAreTheSharedQueueAndGivingWay) {
  const v1::JobSpec spec = ParseJobFile(kGoodJob, "f").value();
  EXPECT_EQ(spec.schedule().queue(), "default");
  EXPECT_TRUE(spec.schedule().preemptible());
  EXPECT_FALSE(spec.schedule().has_time_limit());
  EXPECT_FALSE(spec.schedule().has_array());
  v1::JobSpec bare;
  bare.mutable_schedule()->add_after()->set_job("prep");
  FillUnset(&bare);
  EXPECT_EQ(bare.schedule().after(0).when(), v1::AFTER_EVENT_SUCCEEDED);
  EXPECT_EQ(bare.schedule().queue(), "default");
}

struct TextCase {
  const char* name;
  std::string text;
  const char* message;
};

TEST(Schedule, BadShapesSayLineFindingAndRemedy) {
  const TextCase cases[] = {
      {"a mistyped key", FullWith("priority", "priorty"),
       "f:15: unknown field \"priorty\" in schedule; did you mean \"priority\"?"},
      {"a mistyped domain", FullWith("across: rack", "across: rak"),
       "f:12: placement.spread.across: found the text \"rak\", want node or nvlink or rack or pod; "
       "did you mean \"rack\"?"},
      {"a duration without unit", FullWith("1d12h", "90"),
       "f:16: schedule.time_limit: \"90\" is not a duration; write 250ms, 90s, 5m, 1h30m or 1d12h"},
      {"an endless duration", FullWith("1d12h", "inf"),
       "f:16: schedule.time_limit: \"inf\" is longer than 3650 days"},
      {"a duration too long", FullWith("1d12h", "3651d"),
       "f:16: schedule.time_limit: \"3651d\" is longer than 3650 days"},
      {"a duration as a list", FullWith("1d12h", "[1h]"),
       "f:16: schedule.time_limit: found a list, want a duration such as 4h"},
      {"a fraction of a priority", FullWith("priority: -5", "priority: 0.5"),
       "f:15: schedule.priority: found the number 0.5, want a whole number such as 10 or -10"},
      {"a priority beyond every integer", FullWith("priority: -5", "priority: 99999999999"),
       "f:15: schedule.priority: found the number 99999999999, want a whole number such as 10 or "
       "-10"},
      {"labels as a list", FullWith("{zone: a, tier: 1}", "[zone]"),
       "f:7: placement.select: found a list, want a map of labels such as {zone: a}"},
      {"a label that is a map", FullWith("tier: 1", "tier: {a: b}"),
       "f:7: placement.select.tier: found a map, want text (UTF-8)"},
      {"after as a word", FullWith("[prep, {job: 12, when: ended}]", "prep"),
       "f:20: schedule.after: found the text \"prep\", want a list of jobs such as [prep, {job: "
       "12, when: ended}]"},
      {"after a list", FullWith("[prep,", "[[prep],"),
       "f:20: schedule.after[0]: found a list, want a job's name or id, or {job: prep, when: "
       "ended}"},
      {"a mistyped event", FullWith("when: ended", "when: endd"),
       "f:20: schedule.after[1].when: found the text \"endd\", want succeeded or ended or failed "
       "or started; did you mean \"ended\"?"},
      {"exclude as a word", FullWith("tolerate: [maintenance]", "tolerate: maintenance"),
       "f:11: placement.tolerate: found the text \"maintenance\", want a list such as [\"n[1-3]\", "
       "n7]"},
  };
  for (const TextCase& c : cases) {
    const auto spec = ParseJobFile(c.text, "f");
    ASSERT_FALSE(spec.ok()) << c.name;
    EXPECT_EQ(std::string(spec.status().message()), c.message) << c.name;
  }
}

TEST(Schedule, BadValuesCarryTheirLine) {
  const TextCase cases[] = {
      {"a host list", FullWith("- gpu7", "- n[5-3]"),
       "f:10: placement.exclude[1]: \"n[5-3]\" is not a host list: 5-3 counts down; write n1, "
       "n[1-4] or n[01-04,9],gpu7"},
      {"a taint", FullWith("[maintenance]", "[a b]"),
       "f:11: placement.tolerate[0]: \"a b\" is not a taint; use A-Z a-z 0-9 . _ / -, a letter or "
       "digit first, at most 63 characters"},
      {"a queue", FullWith("research", "Research!"),
       "f:14: schedule.queue: \"Research!\" is not a queue name; use a-z 0-9 -, a letter first, no "
       "- last, at most 63 characters"},
      {"a spread axis", FullWith("axis: data", "axis: dat"),
       "f:12: placement.spread.axis: \"dat\" is not an axis of the mesh; did you mean \"data\"?"},
      {"an inner axis that asks for more", FullWith("within: nvlink", "within: pod"),
       "f:4: mesh.tensor.within: pod, but these ranks are inside pipe, which keeps them within one "
       "rack already; write rack or leave it out"},
  };
  for (const TextCase& c : cases) {
    const auto spec = ParseAndValidateJobFile(c.text, "f");
    ASSERT_FALSE(spec.ok()) << c.name;
    EXPECT_EQ(std::string(spec.status().message()), c.message) << c.name;
  }
}

TEST(Schedule, ABracketInAFlowListIsAMistakeYamlFinds) {
  const auto spec =
      ParseJobFile(FullWith("exclude:\n    - n[3-5]\n    - gpu7", "exclude: [n[3-5]]"), "f");
  ASSERT_FALSE(spec.ok());
  EXPECT_NE(std::string(spec.status().message()).find("f:8"), std::string::npos) << spec.status();
}

struct ValueCase {
  const char* name;
  std::function<void(v1::JobSpec*)> change;
  std::string message;
};

TEST(Schedule, RulesOfValues) {
  using J = v1::JobSpec*;
  const auto schedule = [](J j) { return j->mutable_schedule(); };
  const auto spread = [](J j) { return j->mutable_placement()->mutable_spread(); };
  const ValueCase cases[] = {
      {"equal domains, one inside the other",
       [](J j) { j->mutable_mesh(2)->set_within(v1::DOMAIN_RACK); }, ""},
      {"an inner axis that says nothing",
       [](J j) { j->mutable_mesh(2)->set_within(v1::DOMAIN_UNSPECIFIED); }, ""},
      {"an unknown domain", [](J j) { j->mutable_mesh(2)->set_within(static_cast<v1::Domain>(9)); },
       "mesh.tensor.within: 9 is no domain; give node, nvlink, rack or pod"},
      {"too many parts wanted", [&](J j) { spread(j)->set_at_least(5); },
       "placement.spread.at_least: 5 domains, but data has 4 parts to spread; give 0 to 4"},
      {"as many parts as there are", [&](J j) { spread(j)->set_at_least(4); }, ""},
      {"parts of an inner axis count the outer ones",
       [&](J j) {
         spread(j)->set_axis("pipe");
         spread(j)->set_across(v1::DOMAIN_NVLINK);
         spread(j)->set_at_least(8);
       },
       ""},
      {"spread across what keeps it together", [&](J j) { spread(j)->set_axis("pipe"); },
       "placement.spread.across: rack, but mesh.pipe keeps these ranks within one rack; spread an "
       "axis outside of it, or change its within"},
      {"spread of an axis inside a narrow one", [&](J j) { spread(j)->set_axis("tensor"); },
       "placement.spread.across: rack, but mesh.pipe keeps these ranks within one rack; spread an "
       "axis outside of it, or change its within"},
      {"spread across nothing", [&](J j) { spread(j)->clear_across(); },
       "placement.spread.across: missing; give node, nvlink, rack or pod"},
      {"spread of no axis", [&](J j) { spread(j)->set_axis("expert"); },
       "placement.spread.axis: \"expert\" is not an axis of the mesh; name one of "
       "data=4,pipe=2,tensor=8"},
      {"a label twice",
       [](J j) { *j->mutable_placement()->add_select() = j->placement().select(0); },
       "placement.select.zone: named twice; keep one"},
      {"a label's name", [](J j) { j->mutable_placement()->mutable_select(0)->set_name("a b"); },
       "placement.select: \"a b\" is not a label name; use A-Z a-z 0-9 . _ / -, a letter or digit "
       "first, at most 63 characters"},
      {"a device", [](J j) { j->mutable_resources()->set_device("H\n100"); },
       "resources.device: give a part of the device's product name such as H100, at most 128 "
       "bytes"},
      {"priority", [&](J j) { schedule(j)->set_priority(1001); },
       "schedule.priority: 1001; give -1000 to 1000"},
      {"priority at the edge", [&](J j) { schedule(j)->set_priority(-1000); }, ""},
      {"a time limit below a second",
       [&](J j) {
         schedule(j)->mutable_time_limit()->set_seconds(0);
         schedule(j)->mutable_time_limit()->set_nanos(999'999'999);
       },
       "schedule.time_limit: 0.999999999s; give 1s to 3650d"},
      {"a hostile time limit",
       [&](J j) {
         schedule(j)->mutable_time_limit()->set_seconds(std::numeric_limits<int64_t>::max());
       },
       "schedule.time_limit: not a duration; give 1s to 3650d"},
      {"a negative grace", [&](J j) { schedule(j)->mutable_preempt_grace()->set_seconds(-1); },
       "schedule.preempt_grace: not a duration; give 0s to 1h"},
      {"no grace at all", [&](J j) { schedule(j)->mutable_preempt_grace()->set_seconds(0); }, ""},
      {"a long grace", [&](J j) { schedule(j)->mutable_preempt_grace()->set_seconds(3601); },
       "schedule.preempt_grace: 1h1s; give 0s to 1h"},
      {"after nobody", [&](J j) { schedule(j)->mutable_after(0)->clear_job(); },
       "schedule.after[0]: missing; give the job a name such as gpt-stdlib"},
      {"after no name", [&](J j) { schedule(j)->mutable_after(0)->set_job("Prep"); },
       "schedule.after[0]: \"Prep\" is not a job name; use a-z 0-9 -, a letter first, no - last, "
       "at most 63 characters"},
      {"after no event",
       [&](J j) { schedule(j)->mutable_after(0)->set_when(static_cast<v1::AfterEvent>(9)); },
       "schedule.after[0]: when: 9 is no event; give succeeded, ended, failed or started"},
      {"after too many",
       [&](J j) {
         for (int i = 0; i < 70; ++i) schedule(j)->add_after()->set_job("a");
       },
       "schedule.after: 72 jobs; at most 64"},
      {"an empty array", [&](J j) { schedule(j)->mutable_array()->set_count(0); },
       "schedule.array.count: 0; give 1 to 10000 jobs"},
      {"a huge array", [&](J j) { schedule(j)->mutable_array()->set_count(10001); },
       "schedule.array.count: 10001; give 1 to 10000 jobs"},
      {"more at once than there are", [&](J j) { schedule(j)->mutable_array()->set_at_once(11); },
       "schedule.array.at_once: 11, but the array has 10 jobs; give 0 (no limit) to 10"},
      {"no room for the array's numbers",
       [&](J j) {
         j->set_name(std::string(60, 'a'));
         schedule(j)->mutable_array()->set_count(1000);
       },
       "name: too long for an array of 1000: its jobs are called NAME-0 to NAME-999; use at most "
       "59 characters"},
      {"the longest name an array of ten can have", [&](J j) { j->set_name(std::string(61, 'a')); },
       ""},
      {"more than all spare", [](J j) { j->mutable_recovery()->set_spare_share(1.5); },
       "recovery.spare_share: 1.5; give a share of the job's nodes from 0 to 1"},
      {"no number of spares", [](J j) { j->mutable_recovery()->set_spare_share(std::nan("")); },
       "recovery.spare_share: nan; give a share of the job's nodes from 0 to 1"},
      {"endless spares", [](J j) { j->mutable_recovery()->set_hot_spares(4'000'000'000u); },
       "recovery.hot_spares: 4000000000; give 0 to 100000 nodes"},
      {"nothing to lend",
       [](J j) {
         j->mutable_recovery()->set_hot_spares(0);
         j->mutable_recovery()->set_spare_share(0);
       },
       "recovery.lend_spares: true, but the job keeps no spares; give hot_spares or spare_share "
       "too"},
  };
  for (const ValueCase& c : cases) {
    v1::JobSpec spec = Full();
    c.change(&spec);
    EXPECT_EQ(std::string(ValidateJobSpec(spec).message()), c.message) << c.name;
  }
}

TEST(ExactDuration, ReadsBackWhatItWrites) {
  const struct {
    int64_t seconds;
    int32_t nanos;
    const char* text;
  } cases[] = {{0, 0, "0s"},
               {90, 0, "1m30s"},
               {int64_t{4} * 3600, 0, "4h"},
               {int64_t{36} * 3600, 0, "1d12h"},
               {1, 500'000'000, "1.5s"},
               {60, 1, "1m0.000000001s"},
               {kDurationSecondsMax, 0, "3650d"}};
  for (const auto& c : cases) {
    google::protobuf::Duration duration;
    duration.set_seconds(c.seconds);
    duration.set_nanos(c.nanos);
    EXPECT_TRUE(IsExactDuration(duration)) << c.text;
    EXPECT_EQ(ExactDurationText(duration), c.text);
  }
  for (uint32_t seed = 0; seed < 5000; ++seed) {
    std::mt19937_64 random(seed);
    google::protobuf::Duration duration;
    duration.set_seconds(static_cast<int64_t>(random() % (seed % 2 ? 200'000 : 315'360'000)));
    if (seed % 3 == 0) duration.set_nanos(static_cast<int32_t>(random() % 1'000'000'000));
    const auto again = ReadExactDuration(ExactDurationText(duration));
    ASSERT_TRUE(again.ok()) << "seed " << seed << ": " << again.status();
    EXPECT_EQ(again->SerializeAsString(), duration.SerializeAsString()) << "seed " << seed;
  }
  for (const char* bad : {"", "d", "5", "-1s", "1w", "1.5d", "9999999d", "1d 2h", "12h1d", "d1h"}) {
    EXPECT_FALSE(ReadExactDuration(bad).ok()) << bad;
  }
}

TEST(Names, OfQueuesLabelsAndTaints) {
  EXPECT_TRUE(CheckQueueName("team-a").ok());
  EXPECT_FALSE(CheckQueueName("").ok());
  for (const char* good : {"zone", "topology.kubernetes.io/zone", "A_1"}) {
    EXPECT_TRUE(CheckLabelName(good).ok()) << good;
  }
  for (const char* bad : {"", "-a", "a b", "ä", "a=b"})
    EXPECT_FALSE(CheckLabelName(bad).ok()) << bad;
  EXPECT_TRUE(CheckLabelValue("").ok());
  EXPECT_FALSE(CheckLabelValue("a\nb").ok());
  EXPECT_FALSE(CheckLabelValue(std::string(256, 'a')).ok());
  EXPECT_FALSE(CheckTaint("a,b").ok());
}

}  // namespace
}  // namespace muster::spec
