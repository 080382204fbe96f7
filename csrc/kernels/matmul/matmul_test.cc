// Panels against plain dequantization, and the products of every instruction set against sums in double.
#include <cstdlib>

#include "kernels/matmul/matmul.h"
#include "kernels/matmul/test_support.h"
#include "tests/check.h"

namespace dotori::test {
namespace {

// Panels of `rows` rows; aligned as the loader aligns them.
struct Matrix {
  DType type;
  int rows, panels;
  int64_t cols;
  std::vector<uint8_t> file;
  std::vector<uint8_t> storage;

  Matrix(DType type_, int rows_, int64_t cols_, Random& random)
      : type(type_),
        rows(rows_),
        panels((rows_ + kPanelRows - 1) / kPanelRows),
        cols(cols_),
        file(random_rows(type_, rows_, cols_, random)),
        storage(static_cast<size_t>(panels * panel_bytes(type_, cols_)) + 64, 0xa5) {
    for (int panel = 0; panel < panels; ++panel) {
      const int left = rows - panel * kPanelRows;
      pack_panel(type, row(panel * kPanelRows), row_bytes(type, cols), left < kPanelRows ? left : kPanelRows, cols,
                 data() + panel * panel_bytes(type, cols));
    }
  }
  uint8_t* data() { return storage.data() + (64 - reinterpret_cast<uintptr_t>(storage.data()) % 64) % 64; }
  const uint8_t* row(int index) const { return file.data() + index * row_bytes(type, cols); }
};

void test_packing(Random& random) {
  for (DType type : kTypes) {
    for (int64_t blocks : {1, 2, 3, 5}) {
      const int64_t cols = blocks * (block_size(type).weights == 1 ? 37 : block_size(type).weights);
      for (int rows : {1, 7, 16}) {
        Matrix matrix(type, rows, cols, random);
        std::vector<float> unpacked(static_cast<size_t>(cols));
        for (int row = 0; row < kPanelRows; ++row) {
          unpack_row(type, matrix.data(), row, cols, unpacked.data());
          const PlainRow plain = row < rows ? dequantize(type, matrix.row(row), cols) : PlainRow{};
          for (int64_t column = 0; column < cols; ++column) {
            const float expected = row < rows ? plain.weights[column] : 0.0f;
            CHECK(unpacked[column] == expected, "%s row %d of %d, column %d of %d: %g, not %g", name_of(type), row,
                  rows, int(column), int(cols), unpacked[column], expected);
          }
        }
      }
    }
  }
}

// The exact product of one output and how far float32 may be from it. A quantized kernel adds, for each 32 columns, at
// most two exact integer sums times scales: products of scales round at most three times (3 u, u = 2^-24) and every
// addition once. With G = cols / 32 groups the error is within (2 G + 4) u times the sum of the groups' magnitudes,
// which the sum of the weights' magnitudes bounds; a floating kernel adds cols / 2 + 1 products, each with one
// rounding. Products below the normal range lose at most 2^-149 each, times the largest integer sum.
struct Expected {
  double value, tolerance;
};

Expected expect(DType type, const PlainRow& row, const Activations& x, int token) {
  const bool quantized = block_size(type).weights > 1;
  double value = 0.0, magnitude = 0.0;
  for (int column = 0; column < x.cols; ++column) {
    const size_t at = static_cast<size_t>(token) * x.cols + column;
    const double in = quantized ? static_cast<double>(x.q[at]) * x.scale[at / 32] : x.values[at];
    value += row.weights[column] * in;
    magnitude += row.parts[column] * std::fabs(in);
  }
  const double roundings = quantized ? 2.0 * (x.cols / 32) + 4 : x.cols / 2 + 2.0;
  return {value, roundings * 0x1p-24 * magnitude + 1e-36};
}

void test_products(const std::vector<IsaProducts>& isas, Random& random) {
  for (int which = 0; which < kTypeCount; ++which) {
    const DType type = kTypes[which];
    const int unit = block_size(type).weights == 1 ? 1 : block_size(type).weights;
    for (int cols : {unit == 1 ? 33 : 32, 64, 96, 160, 256, 512, 768, 1024}) {
      if (cols % unit != 0) continue;
      const int rows = 16 * (1 + random.below(3)) - random.below(16);
      const int tokens = 1 + random.below(20);
      Matrix matrix(type, rows, cols, random);
      Activations x(tokens, cols, random);
      const int stride = matrix.panels * kPanelRows + 3;
      std::vector<float> first;
      for (const IsaProducts& isa : isas) {
        std::vector<float> y(static_cast<size_t>(tokens) * stride, -7.0f);
        isa.of[which](matrix.data(), matrix.panels, x.from(0, tokens), y.data(), stride);
        for (int row = 0; row < matrix.panels * kPanelRows; ++row) {
          const PlainRow plain = row < rows ? dequantize(type, matrix.row(row), cols)
                                            : PlainRow{std::vector<float>(cols), std::vector<double>(cols)};
          for (int t = 0; t < tokens; ++t) {
            const Expected expected = expect(type, plain, x, t);
            const double got = y[static_cast<size_t>(t) * stride + row];
            CHECK(std::fabs(got - expected.value) <= expected.tolerance,
                  "%s %s cols %d rows %d token %d row %d: %.9g, not %.9g +- %.3g", isa.name, name_of(type), cols, rows,
                  t, row, got, expected.value, expected.tolerance);
          }
        }
        for (int t = 0; t < tokens; ++t) {
          for (int gap = matrix.panels * kPanelRows; gap < stride; ++gap) {
            CHECK(y[static_cast<size_t>(t) * stride + gap] == -7.0f, "%s wrote beyond the rows", isa.name);
          }
        }
        if (&isa == &isas[0]) continue;  // the reference sums in double
        if (first.empty()) first = y;
        CHECK(std::memcmp(first.data(), y.data(), y.size() * sizeof(float)) == 0,
              "%s %s cols %d: instruction sets differ in bits", isa.name, name_of(type), cols);
      }
    }
  }
}

// A token alone and in any company: the same bits.
void test_company(const std::vector<IsaProducts>& isas, Random& random) {
  constexpr int kTokens = 70, kPanels = 3, kStride = kPanels * kPanelRows;
  for (int which = 0; which < kTypeCount; ++which) {
    const int cols = block_size(kTypes[which]).weights == 1 ? 101 : 768;
    Matrix matrix(kTypes[which], kStride, cols, random);
    Activations x(kTokens, cols, random);
    for (const IsaProducts& isa : isas) {
      std::vector<float> alone(kTokens * kStride), together(alone.size());
      for (int t = 0; t < kTokens; ++t) {
        isa.of[which](matrix.data(), kPanels, x.from(t, 1), &alone[static_cast<size_t>(t) * kStride], kStride);
      }
      const int step = &isa == &isas[0] ? 23 : 1;
      for (int tokens = 1; tokens <= kTokens; tokens += step) {
        const int begin = random.below(kTokens - tokens + 1);
        isa.of[which](matrix.data(), kPanels, x.from(begin, tokens), together.data(), kStride);
        CHECK(std::memcmp(&alone[static_cast<size_t>(begin) * kStride], together.data(),
                          sizeof(float) * tokens * kStride) == 0,
              "%s %s: %d tokens differ from one", isa.name, name_of(kTypes[which]), tokens);
      }
    }
  }
}

// Every byte at its extreme, both ways: sums must not saturate.
void test_saturation(const std::vector<IsaProducts>& isas) {
  constexpr int kCols = 256;
  for (int which = 3; which < kTypeCount; ++which) {
    const DType type = kTypes[which];
    for (int byte : {0x00, 0x7f, 0x80, 0x88, 0xff}) {
      for (int sign : {-127, 127}) {
        std::vector<uint8_t> file(static_cast<size_t>(16 * row_bytes(type, kCols)), static_cast<uint8_t>(byte));
        const size_t block_bytes = static_cast<size_t>(block_size(type).bytes);
        for (size_t block = 0; block < file.size(); block += block_bytes) {
          for (int position : scale_positions(type)) put_u16(&file[block + position], f32_to_f16(1.0f));
        }
        std::vector<uint8_t> panel(static_cast<size_t>(panel_bytes(type, kCols)));
        pack_panel(type, file.data(), row_bytes(type, kCols), 16, kCols, panel.data());
        Random random{77};
        Activations x(1, kCols, random);
        for (int column = 0; column < kCols; ++column) x.q[column] = static_cast<int8_t>(sign);
        for (int& sum : x.sum) sum = 16 * sign;
        for (float& scale : x.scale) scale = 1.0f;
        const Expected expected = expect(type, dequantize(type, file.data(), kCols), x, 0);
        for (const IsaProducts& isa : isas) {
          float y[16];
          isa.of[which](panel.data(), 1, x.from(0, 1), y, 16);
          CHECK(std::fabs(y[5] - expected.value) <= expected.tolerance, "%s %s byte %d by %d: %.9g, not %.9g", isa.name,
                name_of(type), byte, sign, y[5], expected.value);
        }
      }
    }
  }
}

}  // namespace
}  // namespace dotori::test

int main() {
  using namespace dotori::test;
  Random random{20240607};
  const auto isas = runnable_products();
  test_packing(random);
  test_products(isas, random);
  test_company(isas, random);
  test_saturation(isas);
  return report("matmul_test");
}
