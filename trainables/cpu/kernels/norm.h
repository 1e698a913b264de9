// BatchNorm in training, ReLU and 2x2 average pooling in one operation, with few passes over memory.
//
// Images are (N, H, W, C) with even H and W; the inner loops over channels are vectorised. Sums over pixels are in
// double precision; the four pixels of a pooling window are added to them at a time.

#pragma once

#include <cmath>
#include <cstdint>
#include <vector>

namespace norm {

struct Shape {
  int64_t images, height, width, channels, across;  // `across`: elements between two pixels of the result
  int64_t pixels() const { return images * height * width; }
};

// A pooling window: the offsets of its four pixels, and of their result.
struct Window {
  int64_t at[4], to;
};

template <typename Visit> void walk(const Shape &shape, Visit visit) {
  const int64_t next = shape.channels, line = shape.width * next;
  int64_t to = 0;
  for (int64_t row = 0; row < shape.pixels() * next; row += 2 * line)
    for (int64_t at = row; at < row + line; at += 2 * next, to += shape.across)
      visit(Window{{at, at + next, at + line, at + line + next}, to});
}

// The normalised value before ReLU; shared by forward and backward, which must compute the same bits.
template <typename T> struct Normal {
  const T *mean, *scale, *bias;
  T operator()(T x, int64_t c) const { return (x - mean[c]) * scale[c] + bias[c]; }
};

template <typename T> std::vector<T> scales(const T *weight, const T *deviation, int64_t channels) {
  std::vector<T> scale(channels);
  for (int64_t c = 0; c < channels; ++c) scale[c] = weight[c] * deviation[c];
  return scale;
}

// Writes the result and each channel's mean and inverse standard deviation, and updates the running statistics. The
// sums of squares about the mean are updated window by window (Chan, Golub & LeVeque 1979).
template <typename T> void forward(const T *x, const T *weight, const T *bias, T *mean, T *inverse, T *running_mean,
    T *running_var, T *out, const Shape shape, double epsilon, double momentum) {
  const int64_t channels = shape.channels, pixels = shape.pixels();
  std::vector<double> all_sums(channels), all_squares(channels);
  double *sums = all_sums.data(), *squares = all_squares.data();
  walk(shape, [=](Window window) {
    const double before = 4. * (window.to / shape.across), share = before ? 1 / before : 0;
    const double weight = before * 4 / (before + 4);
#pragma GCC ivdep
    for (int64_t c = 0; c < channels; ++c) {
      const T one = x[window.at[0] + c], two = x[window.at[1] + c];
      const T three = x[window.at[2] + c], four = x[window.at[3] + c];
      const T total = (one + two) + (three + four), mean = total / 4;  // pairwise: exact for four equal values
      const T a = one - mean, b = two - mean, d = three - mean, e = four - mean;
      const double apart = mean - sums[c] * share;
      sums[c] += total;
      squares[c] += (a * a + b * b) + (d * d + e * e) + apart * apart * weight;
    }
  });
  for (int64_t c = 0; c < channels; ++c) {
    mean[c] = sums[c] / pixels;
    inverse[c] = 1 / std::sqrt(squares[c] / pixels + epsilon);
    running_mean[c] = (1 - momentum) * running_mean[c] + momentum * sums[c] / pixels;
    running_var[c] = (1 - momentum) * running_var[c] + momentum * squares[c] / (pixels - 1);
  }
  const auto scale = scales(weight, inverse, channels);
  const Normal<T> normal{mean, scale.data(), bias};
  walk(shape, [=](Window window) {
    __builtin_prefetch(out + window.to + 8 * shape.across, 1);
#pragma GCC ivdep
    for (int64_t c = 0; c < channels; ++c) {
      T total = 0;
      for (int64_t at : window.at) {
        const T y = normal(x[at + c], c);
        total += y < 0 ? T(0) : y;  // NaN stays NaN
      }
      out[window.to + c] = total / 4;
    }
  });
}

// Writes the gradients of weight and bias and, where `out` is not null, that of the images.
template <typename T> void backward(const T *x, const T *gradients, const T *weight, const T *bias, const T *mean,
    const T *inverse, T *grad_weight, T *grad_bias, T *out, const Shape shape) {
  const int64_t channels = shape.channels;
  std::vector<double> all_sums(channels), all_products(channels);
  std::vector<T> all_shift(channels), all_pull(channels);
  double *sums = all_sums.data(), *products = all_products.data();
  T *shift = all_shift.data(), *pull = all_pull.data();
  const auto all_scale = scales(weight, inverse, channels);
  const T *scale = all_scale.data();
  const Normal<T> normal{mean, scale, bias};
  const auto gradient_of = [=](T value, Window window, int64_t c) {  // the gradient of `normal`
    return normal(value, c) <= 0 ? T(0) : gradients[window.to + c] / 4;
  };
  walk(shape, [=](Window window) {
    __builtin_prefetch(gradients + window.to + 8 * shape.across);
#pragma GCC ivdep
    for (int64_t c = 0; c < channels; ++c) {
      T total = 0, product = 0;
      for (int64_t at : window.at) {
        const T gradient = gradient_of(x[at + c], window, c);
        total += gradient;
        product += gradient * (x[at + c] - mean[c]);
      }
      sums[c] += total;
      products[c] += product;
    }
  });
  for (int64_t c = 0; c < channels; ++c) {
    grad_bias[c] = sums[c];
    grad_weight[c] = products[c] * inverse[c];
    shift[c] = sums[c] / shape.pixels();
    pull[c] = products[c] * inverse[c] * inverse[c] / shape.pixels();
  }
  if (!out) return;
  walk(shape, [=](Window window) {
    for (int64_t at : window.at)
#pragma GCC ivdep
      for (int64_t c = 0; c < channels; ++c) {
        const T value = x[at + c];
        out[at + c] = (gradient_of(value, window, c) - shift[c] - (value - mean[c]) * pull[c]) * scale[c];
      }
  });
}

}  // namespace norm
