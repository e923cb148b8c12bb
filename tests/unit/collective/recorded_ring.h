// A ring that remembers all that is noted, in order.
#pragma once

#include <fmt/format.h>

#include <map>
#include <string>
#include <vector>

#include "trainer/collective/collective_ring.h"

namespace muster::trainer::collective {

class RecordedRing : public CollectiveRing {
 public:
  struct Note {
    muster_collective operation;
    muster_group group;
    uint64_t bytes = 0;
    std::string states;  // b = begun, s = started, w = waited for, d = done
  };

  uint64_t Begin(muster_collective operation, muster_group group, uint64_t bytes) override {
    return Add({operation, group, bytes, "b"});
  }
  uint64_t Start(muster_collective operation, muster_group group, uint64_t bytes) override {
    return Add({operation, group, bytes, "s"});
  }
  void Wait(uint64_t number) override { notes.at(number).states += "w"; }
  void Done(uint64_t number) override { notes.at(number).states += "d"; }

  // "operation/group/bytes/states", in order.
  std::vector<std::string> Text() const {
    std::vector<std::string> text;
    for (const Note& note : notes) {
      text.push_back(fmt::format("{}/{}/{}/{}", static_cast<int>(note.operation),
                                 static_cast<int>(note.group), note.bytes, note.states));
    }
    return text;
  }
  // Those of one group.
  std::vector<Note> Of(muster_group group) const {
    std::vector<Note> found;
    for (const Note& note : notes) {
      if (note.group == group) found.push_back(note);
    }
    return found;
  }

  std::vector<Note> notes;

 private:
  uint64_t Add(Note note) {
    notes.push_back(std::move(note));
    return notes.size() - 1;
  }
};

}  // namespace muster::trainer::collective
