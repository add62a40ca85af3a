// Runs cocotb's VPI callbacks, and only in the time steps in which one is due.
#pragma once

#include <algorithm>

#include "verilated.h"
#include "verilated_vpi.h"

namespace tilewright {

// Call after the model's eval of a time step. `eval` evaluates the model again when a callback has
// written a signal. A step in which nothing is due costs one look at the watched values.
class Callbacks {
public:
    template <typename Eval>
    void start(uint64_t now, Eval&& eval) {
        VerilatedVpi::callCbs(cbStartOfSimulation);
        m_pending = true;
        run(now, eval);
    }

    template <typename Eval>
    void run(uint64_t now, Eval&& eval) {
        if (!VerilatedVpi::callValueCbs() && !m_pending && now < m_deadline) return;
        bool called = VerilatedVpi::callCbs(cbNextSimTime);
        called |= VerilatedVpi::callCbs(cbAfterDelay);
        do {
            settle(eval);
            called |= VerilatedVpi::callCbs(cbReadWriteSynch);
            VerilatedVpi::doInertialPuts();
        } while (VerilatedVpi::callValueCbs() || VerilatedVpi::evalNeeded());
        called |= VerilatedVpi::callCbs(cbReadOnlySynch);
        m_pending = called;
        m_deadline = VerilatedVpi::cbNextDeadline();
    }

private:
    // Evaluate and call value callbacks until neither changes anything any more.
    template <typename Eval>
    void settle(Eval&& eval) {
        do {
            VerilatedVpi::doInertialPuts();
            if (VerilatedVpi::evalNeeded()) {
                VerilatedVpi::clearEvalNeeded();
                eval();
            }
        } while (VerilatedVpi::callValueCbs() || VerilatedVpi::evalNeeded());
    }

    bool m_pending = false;
    uint64_t m_deadline = 0;
};

}  // namespace tilewright
