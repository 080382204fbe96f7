// dotori.runtime._core: converts between Python and the core, and computes nothing.

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/unique_ptr.h>
#include <nanobind/stl/vector.h>

#include <algorithm>

#include "platform/error.h"
#include "session/batch.h"
#include "session/measure.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace dotori {
namespace {

using IdList = std::vector<int32_t>;

Ids ids_of(const IdList& ids) { return {ids.data(), ids.size()}; }

nb::ndarray<nb::numpy, float, nb::ndim<2>> logits(Session& session, const IdList& ids) {
  const size_t rows = ids.size(), vocab = session.model.config.vocab_size;
  auto* data = new float[rows * vocab];
  nb::capsule owner(data, [](void* at) noexcept { delete[] static_cast<float*>(at); });
  {
    nb::gil_scoped_release release;
    append_with_logits(session, ids_of(ids), data);
  }
  return {data, {rows, vocab}, owner};
}

using Vector = nb::ndarray<nb::numpy, float, nb::ndim<1>>;

// An array that owns what `fill` writes.
template <typename Fill>
Vector vector_of(size_t size, Fill fill) {
  auto* data = new float[size];
  nb::capsule owner(data, [](void* at) noexcept { delete[] static_cast<float*>(at); });
  {
    nb::gil_scoped_release release;
    fill(data);
  }
  return {data, {size}, owner};
}

Vector last_logits(Session& s) {
  return vector_of(s.model.config.vocab_size,
                   [&](float* out) { std::copy_n(s.logits.data(), s.model.config.vocab_size, out); });
}

using Mask = nb::ndarray<const uint32_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

int32_t choose_allowed(Session& s, double temperature, int top_k, double top_p, double min_p,
                       double repetition_penalty, uint64_t seed, std::optional<Mask> allowed) {
  std::span<const uint32_t> bits;
  if (allowed) bits = {allowed->data(), allowed->size()};
  if (allowed && bits.size() * 32 < static_cast<size_t>(s.model.config.vocab_size)) {
    throw Error("constraint: " + std::to_string(bits.size()) + " words of 32 ids; a bit for each of " +
                std::to_string(s.model.config.vocab_size) + " ids is needed; correct it");
  }
  const Sampling settings{temperature, top_k, top_p, min_p, repetition_penalty, seed};
  nb::gil_scoped_release release;
  return choose(s, settings, bits);
}

using Sum = nb::ndarray<double, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

// Each turn: session, ids, whether it wants logits, and a float64 array (hidden_size) to add final rows to, or None.
void step_together(const std::vector<std::tuple<Session*, IdList, bool, std::optional<Sum>>>& turns) {
  std::vector<Turn> list;
  for (const auto& [session, ids, wants_logits, sum] : turns) {
    if (sum && static_cast<int>(sum->size()) != session->model.config.hidden_size) {
      throw Error("step: a sum of another size than the hidden state's; one number a dimension is needed; correct it");
    }
    list.push_back({session, ids_of(ids), wants_logits, sum ? sum->data() : nullptr});
  }
  nb::gil_scoped_release release;
  step(list);
}

Sampling sampling(double temperature, int top_k, double top_p, double min_p, double repetition_penalty, uint64_t seed) {
  return {temperature, top_k, top_p, min_p, repetition_penalty, seed};
}

nb::dict shape(const Model& model) {
  const ModelConfig& c = model.config;
  nb::dict d;
  d["vocab_size"] = c.vocab_size;
  d["hidden_size"] = c.hidden_size;
  d["num_hidden_layers"] = c.num_hidden_layers;
  d["context_length"] = c.context_length;
  d["num_experts"] = c.num_experts;
  d["bos_id"] = c.bos;
  d["eos_id"] = c.eos;
  d["weight_bytes"] = model.weights.storage.bytes;
  d["scratch_bytes"] = model.activations.storage.bytes;
  return d;
}

// Bytes of weights that one decoded token reads, by operation; experts as if every neuron were active.
nb::dict bytes_read(const Model& model) {
  const ModelConfig& c = model.config;
  int64_t qkv = 0, output = 0, gate_up = 0, down = 0, experts = 0;
  for (const Layer& l : model.weights.layers) {
    qkv += l.q.bytes() + l.k.bytes() + l.v.bytes() + (c.num_experts ? l.router.bytes() : 0);
    output += l.o.bytes();
    if (!c.num_experts) {
      gate_up += l.gate.bytes() + l.up.bytes();
      down += l.down.bytes();
    }
  }
  for (const Expert& e : model.weights.experts) {
    if (!e.is_sparse) {
      experts += e.gate.bytes() + e.up.bytes() + e.down.bytes();
      continue;
    }
    experts += e.gate.bytes() +
               neuron_group_bytes(e.sparse.type, c.hidden_size) * (e.sparse.neurons / 32);
  }
  if (c.num_experts) experts = experts / c.num_experts * c.num_experts_used;
  nb::dict d;
  d["qkv"] = qkv;
  d["output"] = output;
  d["gate_up"] = gate_up;
  d["down"] = down;
  d["experts"] = experts;
  d["head"] = model.weights.head.bytes();
  return d;
}

nb::dict profile(Model& model) {
  static constexpr const char* kNames[Profile::kOps] = {"qkv",  "attention", "output", "gate_up",
                                                        "down", "experts",   "head",   "rest"};
  const std::lock_guard turn(model.guard);
  nb::dict d;
  for (int op = 0; op < Profile::kOps; ++op) d[kNames[op]] = 1e-9 * static_cast<double>(model.profile.nanoseconds[op]);
  d["calls"] = model.profile.calls;
  d["neurons"] = model.profile.neurons;
  d["active_neurons"] = model.profile.active_neurons;
  return d;
}

IdList lookup(Session& session, int32_t id, int limit) {
  IdList found;
  nb::gil_scoped_release release;
  next_by_lookup(session, id, limit, found);
  return found;
}

void bind_model(nb::module_& m) {
  nb::class_<Model>(m, "Model", "Weights of one GGUF file and the threads that run them.")
      .def_prop_ro("shape", &shape)
      .def_prop_ro("bytes_read", &bytes_read)
      .def_prop_ro("step_room", &step_room)
      .def_prop_ro("isa", [](const Model& model) { return std::string(model.kernels->isa); })
      .def("start_profile",
           [](Model& model) {
             const std::lock_guard turn(model.guard);
             model.profile = {};
             model.profiles = true;
           })
      .def("profile", &profile);
  m.def("open", &open_model, "path"_a, "threads"_a, "memory_bytes"_a, "context"_a,
        nb::call_guard<nb::gil_scoped_release>());
}

void bind_session(nb::module_& m) {
  nb::class_<Session>(m, "Session", "The tokens of one text, their cache, and what follows them.")
      .def("__init__",
           [](Session* place, Model& model, int context) { new (place) Session(make_session(model, context)); },
           "model"_a, "context"_a, nb::keep_alive<1, 2>())
      .def_prop_ro("length", [](const Session& s) { return s.cache.length; })
      .def_prop_ro("context", [](const Session& s) { return s.cache.context; })
      .def("keep_prefix", [](Session& s, const IdList& ids) { return keep_prefix(s, ids_of(ids)); }, "ids"_a)
      .def("append", [](Session& s, const IdList& ids) { append(s, ids_of(ids)); }, "ids"_a,
           nb::call_guard<nb::gil_scoped_release>())
      .def("next",
           [](Session& s, const IdList& ids, double temperature, int top_k, double top_p, double min_p,
              double repetition_penalty, uint64_t seed) {
             return next(s, ids_of(ids), sampling(temperature, top_k, top_p, min_p, repetition_penalty, seed));
           },
           "ids"_a, "temperature"_a = 0.0, "top_k"_a = 0, "top_p"_a = 1.0, "min_p"_a = 0.0,
           "repetition_penalty"_a = 1.0, "seed"_a = 0, nb::call_guard<nb::gil_scoped_release>())
      .def("choose", &choose_allowed, "temperature"_a = 0.0, "top_k"_a = 0, "top_p"_a = 1.0, "min_p"_a = 0.0,
           "repetition_penalty"_a = 1.0, "seed"_a = 0, "allowed"_a = nb::none())
      .def("last_logits", &last_logits)
      .def("shared_prefix", [](const Session& s, const IdList& ids) { return shared_prefix(s, ids_of(ids)); }, "ids"_a)
      .def("borrow_prefix",
           [](Session& s, const Session& other, const IdList& ids) { return borrow_prefix(s, other, ids_of(ids)); },
           "other"_a, "ids"_a, nb::call_guard<nb::gil_scoped_release>())
      .def("next_by_lookup", &lookup, "id"_a, "limit"_a)
      .def("logits", &logits, "ids"_a)
      .def("loglikelihood",
           [](Session& s, const IdList& ids, int start) { return loglikelihood(s, ids_of(ids), start); },
           "ids"_a, "start"_a, nb::call_guard<nb::gil_scoped_release>());
}

}  // namespace
}  // namespace dotori

NB_MODULE(_core, m) {
  nb::exception<dotori::Error>(m, "CoreError");
  dotori::bind_model(m);
  dotori::bind_session(m);
  m.def("step", &dotori::step_together, "turns"_a);
  m.def("measure_bandwidth", &dotori::measure_bandwidth, "threads"_a, "bytes"_a,
        nb::call_guard<nb::gil_scoped_release>());
  m.def("measure_dot_products", &dotori::measure_dot_products, "threads"_a, nb::call_guard<nb::gil_scoped_release>());
  m.def("runnable_isas", [] {
    nb::list names;
    const dotori::KernelList list = dotori::runnable_kernels();
    for (int index = 0; index < list.count; ++index) names.append(list.items[index]->isa);
    return names;
  });
}
