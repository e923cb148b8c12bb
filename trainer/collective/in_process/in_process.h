// Ranks as threads of one process: the reference backend, used by tests.
//
// A started operation copies its input at once, so ranks may wait for several in any order. A rank
// that gives up destroys its Collective; whoever waits for it then gets kUnavailable.
//
// Threads: each returned Collective belongs to one thread; they share the rest safely.
#pragma once

#include <memory>
#include <vector>

#include "trainer/collective/collective.h"

namespace muster::trainer::collective {

// A world of `size` ranks; element r is rank r's end.
std::vector<std::unique_ptr<Collective>> MakeInProcessWorld(int size);

}  // namespace muster::trainer::collective
