// Batch normalisation in training, ReLU and, where `pooled`, 2 x 2 average pooling as one, in few passes over memory.
//
// Images lie as (images, height, width, channels); the loops over channels become vectors. Sums over pixels are in double
// precision, to which a few pixels at a time are added.

#include <cmath>
#include <cstdint>
#include <vector>

struct Shape {
    int64_t images, height, width, channels;
    int64_t pixels() const { return images * height * width; }
};

// Pixels that are treated together: where in memory each lies, and where the first of the results does.
template <int count>
struct Group {
    static constexpr int size = count;
    int64_t at[count], to;
};

// Visits all pixels: window by window of the pooling, or else four by four, and the last ones each on its own.
template <bool pooled, typename Visit>
static void walk(const Shape &shape, Visit visit) {
    const int64_t next = shape.channels, line = shape.width * next, end = shape.pixels() * next;
    if (pooled) {
        int64_t to = 0;
        for (int64_t row = 0; row < end; row += 2 * line)
            for (int64_t at = row; at < row + line; at += 2 * next, to += next)
                visit(Group<4>{{at, at + next, at + line, at + line + next}, to});
    } else {
        int64_t at = 0;
        for (; at + 4 * next <= end; at += 4 * next)
            visit(Group<4>{{at, at + next, at + 2 * next, at + 3 * next}, at});
        for (; at < end; at += next) visit(Group<1>{{at}, at});
    }
}

// The sum of `of(0)` to `of(count - 1)` in pairs, so that of equal values the mean is exact.
template <int count, typename Of>
static inline auto sum(Of of) {
    if constexpr (count == 1)
        return of(0);
    else
        return sum<count / 2>(of) + sum<count / 2>([=](int i) { return of(i + count / 2); });
}

// Adds `count` pixels to each channel's sum and to its sum of squares about its mean (Chan, Golub & LeVeque 1979).
template <int count, typename T>
static void gather(const T *__restrict x, double *__restrict sums, double *__restrict squares, int64_t before,
                   int64_t channels) {
    const double share = before ? 1.0 / before : 0, weight = double(before) * count / (before + count);
    for (int64_t c = 0; c < channels; ++c) {
        const T total = sum<count>([=](int i) { return x[i * channels + c]; }), mean = total / count;
        const T within = sum<count>([=](int i) {
            const T apart = x[i * channels + c] - mean;
            return apart * apart;
        });
        const double apart = mean - sums[c] * share;
        sums[c] += total;
        squares[c] += within + apart * apart * weight;
    }
}

// The value before ReLU; the gradient's kernels must have it to the same bits.
template <typename T>
static inline T normal(T x, T mean, T scale, T bias) {
    return (x - mean) * scale + bias;
}

template <bool pooled, int count, typename T>
static void put(const Group<count> group, const T *__restrict x, const T *__restrict mean, const T *__restrict scale,
                const T *__restrict bias, T *__restrict out, int64_t channels) {
    for (int64_t c = 0; c < channels; ++c) {
        T total = 0;
        for (int i = 0; i < count; ++i) {
            T y = normal(x[group.at[i] + c], mean[c], scale[c], bias[c]);
            y = y < 0 ? T(0) : y;  // NaN stays NaN
            if (pooled)
                total += y;
            else
                out[group.to + i * channels + c] = y;
        }
        if (pooled) out[group.to + c] = total / 4;
    }
}

// The slope of `normal`, from that of the result: 0 where ReLU was 0.
template <bool pooled, typename T>
static inline T slope_of(T slope, T y) {
    return y <= 0 ? T(0) : pooled ? slope / 4 : slope;
}

// Adds the slopes, and their products with the distances from the mean, to each channel's sums.
template <bool pooled, int count, typename T>
static void gather_slopes(const Group<count> group, const T *__restrict x, const T *__restrict slopes,
                          const T *__restrict mean, const T *__restrict scale, const T *__restrict bias,
                          double *__restrict sums, double *__restrict products, int64_t channels) {
    for (int64_t c = 0; c < channels; ++c) {
        T total = 0, product = 0;
        for (int i = 0; i < count; ++i) {
            const T value = x[group.at[i] + c], y = normal(value, mean[c], scale[c], bias[c]);
            const T slope = slope_of<pooled>(slopes[group.to + (pooled ? 0 : i * channels) + c], y);
            total += slope;
            product += slope * (value - mean[c]);
        }
        sums[c] += total;
        products[c] += product;
    }
}

// The images' slopes: scale x (slope - mean slope - what the variance takes of it).
template <bool pooled, int count, typename T>
static void put_slopes(const Group<count> group, const T *__restrict x, const T *__restrict slopes,
                       const T *__restrict mean, const T *__restrict scale, const T *__restrict bias,
                       const T *__restrict shift, const T *__restrict pull, T *__restrict out, int64_t channels) {
    for (int64_t c = 0; c < channels; ++c)
        for (int i = 0; i < count; ++i) {
            const T value = x[group.at[i] + c], y = normal(value, mean[c], scale[c], bias[c]);
            const T slope = slope_of<pooled>(slopes[group.to + (pooled ? 0 : i * channels) + c], y);
            out[group.at[i] + c] = (slope - shift[c] - (value - mean[c]) * pull[c]) * scale[c];
        }
}

template <typename T>
static std::vector<T> scales(const T *weight, const T *deviation, int64_t channels) {
    std::vector<T> scale(channels);
    for (int64_t c = 0; c < channels; ++c) scale[c] = weight[c] * deviation[c];
    return scale;
}

// Writes the results, each channel's mean and the inverse of its deviation, and updates the running statistics.
template <bool pooled, typename T>
static void forward(const T *x, const T *weight, const T *bias, T *mean, T *inverse, T *running_mean, T *running_var,
                    T *out, const Shape shape, double epsilon, double momentum) {
    const int64_t channels = shape.channels, pixels = shape.pixels(), whole = pixels / 8 * 8;
    std::vector<double> sums(channels), squares(channels);
    for (int64_t i = 0; i < whole; i += 8) gather<8>(x + i * channels, sums.data(), squares.data(), i, channels);
    for (int64_t i = whole; i < pixels; ++i) gather<1>(x + i * channels, sums.data(), squares.data(), i, channels);
    for (int64_t c = 0; c < channels; ++c) {
        mean[c] = sums[c] / pixels;
        inverse[c] = 1 / std::sqrt(squares[c] / pixels + epsilon);
        running_mean[c] = (1 - momentum) * running_mean[c] + momentum * sums[c] / pixels;
        running_var[c] = (1 - momentum) * running_var[c] + momentum * squares[c] / (pixels - 1);
    }
    const auto scale = scales(weight, inverse, channels);
    walk<pooled>(shape, [&](auto group) { put<pooled>(group, x, mean, scale.data(), bias, out, channels); });
}

// Writes the slopes of weight and bias, and those of the images where `out` is not null.
template <bool pooled, typename T>
static void backward(const T *x, const T *slopes, const T *weight, const T *bias, const T *mean, const T *inverse,
                     T *of_weight, T *of_bias, T *out, const Shape shape) {
    const int64_t channels = shape.channels;
    std::vector<double> sums(channels), products(channels);
    std::vector<T> shift(channels), pull(channels);
    const auto scale = scales(weight, inverse, channels);
    walk<pooled>(shape, [&](auto group) {
        gather_slopes<pooled>(group, x, slopes, mean, scale.data(), bias, sums.data(), products.data(), channels);
    });
    for (int64_t c = 0; c < channels; ++c) {
        of_bias[c] = sums[c];
        of_weight[c] = products[c] * inverse[c];
        shift[c] = sums[c] / shape.pixels();
        pull[c] = products[c] * inverse[c] * inverse[c] / shape.pixels();
    }
    if (out)
        walk<pooled>(shape, [&](auto group) {
            put_slopes<pooled>(group, x, slopes, mean, scale.data(), bias, shift.data(), pull.data(), out, channels);
        });
}

#define KERNELS(T)                                                                                                     \
    extern "C" void norm_forward_##T(const T *x, const T *weight, const T *bias, T *mean, T *inverse, T *running_mean, \
                                     T *running_var, T *out, int64_t images, int64_t height, int64_t width,            \
                                     int64_t channels, int64_t pooled, double epsilon, double momentum) {              \
        (pooled ? forward<true, T> : forward<false, T>)(x, weight, bias, mean, inverse, running_mean, running_var,     \
                                                        out, {images, height, width, channels}, epsilon, momentum);    \
    }                                                                                                                  \
    extern "C" void norm_backward_##T(const T *x, const T *slopes, const T *weight, const T *bias, const T *mean,      \
                                      const T *inverse, T *of_weight, T *of_bias, T *out, int64_t images,              \
                                      int64_t height, int64_t width, int64_t channels, int64_t pooled) {               \
        (pooled ? backward<true, T> : backward<false, T>)(x, slopes, weight, bias, mean, inverse, of_weight, of_bias,  \
                                                          out, {images, height, width, channels});                     \
    }
KERNELS(float)
KERNELS(double)
