// Lion's step (Chen et al. 2023, Alg. 2) in one pass over memory, bit for bit equal to torch's operations.

#include <algorithm>
#include <cstdint>

// torch.lerp's formula: the compiler fuses product and sum into one rounding, as torch does.
template <typename T> static inline T lerp(T from, T to, T weight) {
  return weight < T(0.5) ? from + weight * (to - from) : to - (to - from) * (1 - weight);
}

// `weight1` and `weight2` are 1 - beta1 and 1 - beta2, `kept` is 1 - rate * weight decay. Decay and step are separate
// loops, so that each is rounded on its own; they go over blocks of the size of the first-level cache.
template <typename T> static void lion(T *__restrict weights, const T *__restrict gradients, T *__restrict momenta,
    int64_t count, T kept, T rate, T weight1, T weight2) {
  for (int64_t first = 0; first < count; first += 1024) {
    const int64_t last = std::min(count, first + 1024);
    if (kept != 1)
      for (int64_t i = first; i < last; ++i) weights[i] *= kept;
    for (int64_t i = first; i < last; ++i) {
      const T gradient = gradients[i], momentum = momenta[i], update = lerp(momentum, gradient, weight1);
      weights[i] -= update > 0 ? rate : update < 0 ? -rate : T(0);  // 0 for NaN, as torch.sign
      momenta[i] = lerp(momentum, gradient, weight2);
    }
  }
}

#define EXPORTED(T) \
  extern "C" void lion_##T(T *weights, const T *gradients, T *momenta, int64_t count, double kept, double rate, \
      double weight1, double weight2) { \
    lion<T>(weights, gradients, momenta, count, kept, rate, weight1, weight2); \
  }
EXPORTED(float)
EXPORTED(double)
