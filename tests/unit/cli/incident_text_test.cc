// Incidents as people read them.
#include "cli/incident_text.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "cli/job_text.h"

namespace muster::cli {
namespace {

constexpr int64_t kBegan = 1'700'000'000'000;

v1::Incident Repaired() {
  v1::Incident incident;
  incident.set_id(7);
  incident.set_state(v1::INCIDENT_STATE_RESUMED);
  incident.set_time_unix_ms(kBegan);
  incident.set_end_unix_ms(kBegan + 2000);
  incident.set_text(
      "rank 3 on n2 killed by SIGKILL in step 41 (machine?, 60 %); restarted on the same nodes; "
      "2.0 s, 8 steps again");
  v1::FailureCause* cause = incident.mutable_cause();
  cause->set_has_rank(true);
  cause->set_rank(3);
  cause->set_node("n2");
  cause->set_phase(v1::PHASE_STEP);
  cause->set_step(41);
  incident.set_blame(v1::BLAME_MACHINE);
  incident.set_confidence(0.6);
  incident.set_blame_reason("killed from outside: memory ran out, or somebody did it");
  incident.add_nodes("n2");
  v1::Evidence* root = incident.add_evidence();
  root->set_role(v1::EVIDENCE_ROLE_ROOT);
  root->set_text("rank 3 on n2 killed by SIGKILL in step 41");
  root->mutable_collective()->set_operation("all-reduce");
  root->mutable_collective()->set_group("data");
  root->mutable_collective()->set_sequence(205);
  root->add_last_lines("step 40/100 loss 2.1");
  root->add_last_lines("\x1b[31mred");
  v1::Evidence* follows = incident.add_evidence();
  follows->set_role(v1::EVIDENCE_ROLE_CASCADE);
  follows->set_text("rank 1 on n1 exited 1 in step 41");
  incident.set_evidence_left_out(2);
  v1::IncidentJob* job = incident.add_jobs();
  job->set_job_id(4);
  job->set_name("gpt");
  job->set_slots(8);
  job->set_attempt(1);
  job->set_next_attempt(2);
  job->set_state(v1::INCIDENT_STATE_RESUMED);
  job->set_steps_lost(8);
  v1::PhaseSeconds* seconds = job->mutable_seconds();
  seconds->set_detect(0.25);
  seconds->set_stop(0.05);
  seconds->set_start(1.2);
  seconds->set_load(0.4);
  seconds->set_recompute(0.1);
  v1::IncidentAction* action = job->add_actions();
  action->set_rung(v1::RUNG_RESTART);
  action->set_attempt(2);
  action->set_reason("restarting on the same nodes from step 32");
  action->set_time_unix_ms(kBegan + 250);
  incident.set_slot_seconds_lost(36'000);
  return incident;
}

v1::Incident Waiting() {
  v1::Incident incident;
  incident.set_id(8);
  incident.set_state(v1::INCIDENT_STATE_WAITING);
  incident.set_time_unix_ms(kBegan + 60'000);
  incident.set_text("rack r1 lost with 2 nodes (machine, 90 %); 2 jobs hit; waiting: 4 ranks");
  incident.set_blame_reason("it only speaks of another rank, and that one said nothing");
  incident.set_domain("rack r1");
  incident.add_nodes("n3");
  incident.add_nodes("n4");
  incident.set_acknowledged(true);
  incident.set_acknowledged_by("ada");
  incident.set_note("power is out");
  for (const uint64_t id : {4u, 5u}) {
    v1::IncidentJob* job = incident.add_jobs();
    job->set_job_id(id);
    job->set_name("gpt");
    job->set_slots(4);
    job->set_attempt(2);
    job->set_state(v1::INCIDENT_STATE_WAITING);
    job->set_waiting_for("waiting: 4 ranks × 1 slot, 2 free on 1 of 1 nodes");
    job->mutable_seconds()->set_replace(90);
  }
  return incident;
}

TEST(IncidentTable, OneLineAnIncidentNewestFirst) {
  v1::ListIncidentsResponse incidents;
  *incidents.add_incidents() = Waiting();
  *incidents.add_incidents() = Repaired();
  EXPECT_EQ(
      IncidentTable(incidents, kBegan + 180'000, false),
      "ID  AGE     STATE    JOB      TOOK    ACK  WHAT\n"
      "8   2m 00s  waiting  2 jobs   90.0 s  ada  rack r1 lost with 2 nodes (machine, 90 %); 2 "
      "jobs hit; waiting: 4 ranks\n"
      "7   3m 00s  resumed  4 (gpt)  2.0 s   -    rank 3 on n2 killed by SIGKILL in step 41 "
      "(machine?, 60 %); restarted on the same nodes; 2.0 s, 8 steps again\n");
}

TEST(IncidentTable, WideHasCostAndBlame) {
  v1::ListIncidentsResponse incidents;
  *incidents.add_incidents() = Waiting();
  *incidents.add_incidents() = Repaired();
  EXPECT_EQ(
      IncidentTable(incidents, kBegan + 180'000, true),
      "ID  AGE     STATE    JOB      TOOK    STEPS LOST  SLOT HOURS  BLAME         ACK  WHAT\n"
      "8   2m 00s  waiting  2 jobs   90.0 s  0           0.00        -             ada  rack r1 "
      "lost with 2 nodes (machine, 90 %); 2 jobs hit; waiting: 4 ranks\n"
      "7   3m 00s  resumed  4 (gpt)  2.0 s   8           10.00       machine 60 %  -    rank 3 "
      "on n2 killed by SIGKILL in step 41 (machine?, 60 %); restarted on the same nodes; 2.0 "
      "s, 8 steps again\n");
}

TEST(IncidentTable, NothingIsAHeaderAlone) {
  EXPECT_EQ(IncidentTable({}, kBegan, false), "ID  AGE  STATE  JOB  TOOK  ACK  WHAT\n");
}

TEST(IncidentPage, OneThatIsOver) {
  EXPECT_EQ(
      IncidentPage(Repaired()),
      fmt::format(
          "Incident 7: rank 3 on n2 killed by SIGKILL in step 41 (machine?, 60 %); restarted on "
          "the same nodes; 2.0 s, 8 steps again\n"
          "\n"
          "When:      2023-11-14 22:13:20 UTC, over after 2.0 s\n"
          "Nodes:     n2\n"
          "Rank:      3 on n2, step 41\n"
          "Blame:     machine, 60 % sure: killed from outside: memory ran out, or somebody did it\n"
          "Cost:      10.00 slot hours\n"
          "\n"
          "Evidence\n"
          "  root      rank 3 on n2 killed by SIGKILL in step 41, in all-reduce 205 of data\n"
          "            | step 40/100 loss 2.1\n"
          "            | ?[31mred\n"
          "  cascade   rank 1 on n1 exited 1 in step 41\n"
          "  and 2 more that only followed\n"
          "\n"
          "Job 4 (gpt), 8 slots: attempt 1 failed, resumed\n"
          "  {}  restart    attempt 2: restarting on the same nodes from step 32\n"
          "  detect 250 ms, decide 0 ms, stop 50 ms, replace 0 ms, start 1.2 s, load 400 ms, "
          "recompute 100 ms, together 2.0 s; 8 steps done again\n",
          ClockText(kBegan + 250)));
}

TEST(IncidentPage, OneThatWaitsForRoomAndHasBeenSeen) {
  EXPECT_EQ(
      IncidentPage(Waiting()),
      "Incident 8: rack r1 lost with 2 nodes (machine, 90 %); 2 jobs hit; waiting: 4 ranks\n"
      "\n"
      "When:      2023-11-14 22:14:20 UTC, not over\n"
      "Domain:    rack r1\n"
      "Nodes:     n3, n4\n"
      "Blame:     cannot be told: it only speaks of another rank, and that one said nothing\n"
      "Cost:      0.00 slot hours\n"
      "Seen by:   ada: power is out\n"
      "\n"
      "Evidence\n"
      "\n"
      "Job 4 (gpt), 4 slots: attempt 2 failed, waiting\n"
      "  waiting: 4 ranks × 1 slot, 2 free on 1 of 1 nodes\n"
      "  detect 0 ms, decide 0 ms, stop 0 ms, replace 90.0 s, start 0 ms, load 0 ms, recompute 0 "
      "ms, together 90.0 s\n"
      "\n"
      "Job 5 (gpt), 4 slots: attempt 2 failed, waiting\n"
      "  waiting: 4 ranks × 1 slot, 2 free on 1 of 1 nodes\n"
      "  detect 0 ms, decide 0 ms, stop 0 ms, replace 90.0 s, start 0 ms, load 0 ms, recompute 0 "
      "ms, together 90.0 s\n");
}

}  // namespace
}  // namespace muster::cli
