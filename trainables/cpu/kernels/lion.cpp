// Lion's step (Chen et al. 2023, Alg. 2) in one pass over memory, to torch's bits.

#include <algorithm>
#include <cstdint>

// torch's: the compiler makes one rounding of product and sum, as torch does.
template <typename T>
static inline T lerp(T from, T to, T weight, T rest, bool near) {
    return near ? from + weight * (to - from) : to - (to - from) * rest;
}

// Loops are apart, block by block in the first cache, so that decay and step are rounded each on its own.
template <typename T, bool near1, bool near2>
static void step(T *__restrict weights, const T *__restrict slopes, T *__restrict momenta, int64_t count, T kept,
                 T rate, T weight1, T weight2) {
    const int64_t block = 1024;
    for (int64_t first = 0; first < count; first += block) {
        const int64_t last = std::min(count, first + block);
        if (kept != 1)
            for (int64_t i = first; i < last; ++i) weights[i] *= kept;
        for (int64_t i = first; i < last; ++i) {
            const T slope = slopes[i], momentum = momenta[i];
            const T update = lerp(momentum, slope, weight1, 1 - weight1, near1);
            weights[i] -= update > 0 ? rate : update < 0 ? -rate : T(0);  // none for NaN, as torch's sign
            momenta[i] = lerp(momentum, slope, weight2, 1 - weight2, near2);
        }
    }
}

// `weight1` and `weight2` are 1 - beta1 and 1 - beta2, `kept` is 1 - rate x weight decay.
template <typename T>
static void lion(T *weights, const T *slopes, T *momenta, int64_t count, double kept, double rate, double weight1,
                 double weight2) {
    const bool near1 = T(weight1) < T(0.5), near2 = T(weight2) < T(0.5);
    const auto chosen = near1 ? (near2 ? step<T, true, true> : step<T, true, false>)
                              : (near2 ? step<T, false, true> : step<T, false, false>);
    chosen(weights, slopes, momenta, count, T(kept), T(rate), T(weight1), T(weight2));
}

extern "C" {
void lion_float(float *weights, const float *slopes, float *momenta, int64_t count, double kept, double rate,
                double weight1, double weight2) {
    lion(weights, slopes, momenta, count, kept, rate, weight1, weight2);
}
void lion_double(double *weights, const double *slopes, double *momenta, int64_t count, double kept, double rate,
                 double weight1, double weight2) {
    lion(weights, slopes, momenta, count, kept, rate, weight1, weight2);
}
}
