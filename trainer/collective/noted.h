// A Collective that notes in a ring what it is inside of, around any other.
//
// Everything goes to the other one unchanged: same results, same errors, same order. Each operation
// is one note, also where a backend makes several of it. One that fails is Done like one that
// succeeds: the rank is no longer inside it. A group made by Split is not noted by itself: it has a
// kind of its own, so note it anew.
//
// Memory:  `bytes` of a note are those of the longer of the operation's buffers on this rank; of an
// all-to-all, what it
//          sends.
// Threads: as the collective around which it is.
#pragma once

#include <memory>

#include "trainer/collective/collective.h"
#include "trainer/collective/collective_ring.h"

namespace muster::trainer::collective {

// `inner` itself when there is no ring, or nobody to wait for. The ring outlives what is returned.
std::unique_ptr<Collective> Noted(std::unique_ptr<Collective> inner, CollectiveRing* ring,
                                  muster_group group);

// The same around a collective of somebody else's, which outlives what is returned. Null when there
// is no ring, or nobody to wait for.
std::unique_ptr<Collective> NotedBeside(Collective& inner, CollectiveRing* ring,
                                        muster_group group);

}  // namespace muster::trainer::collective
