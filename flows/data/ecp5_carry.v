// Adders and comparators on the carry chains of an ECP5, for Yosys's techmap, in place of its own.
//
// nextpnr adds two cells of two LUTs each to a chain whose first carry is connected and whose last
// one has a net. Here the first slot makes the carry (its LUT4 is 0, its LUT2 is A), the slot behind
// the last bit gives it (0 ^ carry): often halves of cells that are there anyway. The carries on the
// way follow from sum and operands. So no chain needs its ends; `place.py` takes them away.

(* techmap_celltype = "$alu" *)
module tilewright_ecp5_alu (A, B, CI, BI, X, Y, CO);
  parameter A_SIGNED = 0;
  parameter B_SIGNED = 0;
  parameter A_WIDTH = 1;
  parameter B_WIDTH = 1;
  parameter Y_WIDTH = 1;

  (* force_downto *) input [A_WIDTH-1:0] A;
  (* force_downto *) input [B_WIDTH-1:0] B;
  (* force_downto *) output [Y_WIDTH-1:0] X, Y, CO;
  input CI, BI;

  wire _TECHMAP_FAIL_ = Y_WIDTH <= 4;

  (* force_downto *) wire [Y_WIDTH-1:0] left, right;
  \$pos #(.A_SIGNED(A_SIGNED), .A_WIDTH(A_WIDTH), .Y_WIDTH(Y_WIDTH)) left_cell (.A(A), .Y(left));
  \$pos #(.A_SIGNED(B_SIGNED), .A_WIDTH(B_WIDTH), .Y_WIDTH(Y_WIDTH)) right_cell (.A(B), .Y(right));

  // Slots: the first carry, the bits, the last carry; one is left over where the width is odd.
  localparam CELLS = (Y_WIDTH + 3) / 2;
  localparam [15:0] CARRY_IN = 16'h000a;
  localparam [15:0] SUM = 16'h96aa;
  wire [2*CELLS-1:0] a = {left, CI};
  wire [2*CELLS-1:0] b = {right, 1'b0};
  wire [2*CELLS-1:0] sum;
  wire [CELLS:0] carry;
  assign carry[0] = 1'b0;

  genvar cell_number;
  generate for (cell_number = 0; cell_number < CELLS; cell_number = cell_number + 1) begin:slots
    localparam LOW = 2 * cell_number;
    CCU2C #(
      .INIT0(LOW == 0 ? CARRY_IN : LOW > Y_WIDTH ? 16'h0000 : SUM),
      .INIT1(LOW + 1 > Y_WIDTH ? 16'h0000 : SUM),
      .INJECT1_0("NO"),
      .INJECT1_1("NO")
    ) slot (
      .CIN(carry[cell_number]),
      .A0(a[LOW]), .B0(b[LOW]), .C0(LOW == 0 || LOW > Y_WIDTH ? 1'b1 : BI), .D0(1'b1),
      .A1(a[LOW+1]), .B1(b[LOW+1]), .C1(LOW + 1 > Y_WIDTH ? 1'b1 : BI), .D1(1'b1),
      .S0(sum[LOW]), .S1(sum[LOW+1]),
      .COUT(carry[cell_number+1])
    );
  end endgenerate

  assign X = left ^ right ^ {Y_WIDTH{BI}};
  assign Y = sum[Y_WIDTH:1];
  assign CO = {sum[Y_WIDTH+1], Y[Y_WIDTH-1:1] ^ X[Y_WIDTH-1:1]};
endmodule
