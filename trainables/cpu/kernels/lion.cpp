// Lion's step (Chen et al. 2023, Alg. 2) in one pass over memory, to torch's bits.

#include <algorithm>
#include <cstdint>

// torch's: the compiler makes one rounding of product and sum, as torch does.
template <typename T> static inline T lerp(T from, T to, T weight) {
  return weight < T(0.5) ? from + weight * (to - from) : to - (to - from) * (1 - weight);
}

// `weight1` and `weight2` are 1 - beta1 and 1 - beta2, `kept` is 1 - rate x weight decay. Loops are apart, block by
// block in the first cache, so that decay and step are rounded each on its own.
template <typename T> static void lion(T *__restrict weights, const T *__restrict slopes, T *__restrict momenta,
    int64_t count, T kept, T rate, T weight1, T weight2) {
  for (int64_t first = 0; first < count; first += 1024) {
    const int64_t last = std::min(count, first + 1024);
    if (kept != 1)
      for (int64_t i = first; i < last; ++i) weights[i] *= kept;
    for (int64_t i = first; i < last; ++i) {
      const T slope = slopes[i], momentum = momenta[i], update = lerp(momentum, slope, weight1);
      weights[i] -= update > 0 ? rate : update < 0 ? -rate : T(0);  // none for NaN, as torch's sign
      momenta[i] = lerp(momentum, slope, weight2);
    }
  }
}

#define EXPORTED(T) \
  extern "C" void lion_##T(T *weights, const T *slopes, T *momenta, int64_t count, double kept, double rate, \
      double weight1, double weight2) { \
    lion<T>(weights, slopes, momenta, count, kept, rate, weight1, weight2); \
  }
EXPORTED(float)
EXPORTED(double)
