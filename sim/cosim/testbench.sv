// Test bench top around the accelerator.
//
// The C++ main loop toggles clk and is the DRAM: before every rising edge it reads the memory_*
// outputs and sets the next_memory_* inputs, which are registered here, so that no combinational
// path runs from an input into the design. cocotb owns the signals marked "public" (testbench.vlt).
`timescale 1ns / 1ns
`include "probes.svh"

module testbench #(
    parameter int AXI_ADDRESS_BITS = 32,
    parameter int AXI_DATA_BITS = 128
) (
    input  logic clk,
    output logic reset,
    output logic interrupt_line,
    output logic [63:0] cycle,
    output logic [`TILEWRIGHT_RETIRE_BITS-1:0] retire,

    output logic [3:0] memory_awid,
    output logic [AXI_ADDRESS_BITS-1:0] memory_awaddr,
    output logic [7:0] memory_awlen,
    output logic [2:0] memory_awsize,
    output logic [1:0] memory_awburst,
    output logic memory_awvalid,
    output logic [AXI_DATA_BITS-1:0] memory_wdata,
    output logic [AXI_DATA_BITS/8-1:0] memory_wstrb,
    output logic memory_wlast,
    output logic memory_wvalid,
    output logic memory_bready,
    output logic [3:0] memory_arid,
    output logic [AXI_ADDRESS_BITS-1:0] memory_araddr,
    output logic [7:0] memory_arlen,
    output logic [2:0] memory_arsize,
    output logic [1:0] memory_arburst,
    output logic memory_arvalid,
    output logic memory_rready,

    input logic next_memory_awready,
    input logic next_memory_wready,
    input logic [3:0] next_memory_bid,
    input logic [1:0] next_memory_bresp,
    input logic next_memory_bvalid,
    input logic next_memory_arready,
    input logic [3:0] next_memory_rid,
    input logic [AXI_DATA_BITS-1:0] next_memory_rdata,
    input logic [1:0] next_memory_rresp,
    input logic next_memory_rlast,
    input logic next_memory_rvalid
);
    // public, written from outside
    logic rst = 1;
    logic request_toggle = 0;
    logic request_write = 0;
    logic [11:0] request_address = 0;
    logic [31:0] request_data = 0;
    logic [11:0] request_delays = 0;

    // public, read from outside (as are interrupt_line and cycle)
    logic response_toggle;
    logic [31:0] response_data;
    logic [1:0] response_code;
    logic [63:0] response_cycle;
    logic protocol_error;

    logic [11:0] control_awaddr, control_araddr;
    logic control_awvalid, control_awready, control_wvalid, control_wready;
    logic control_bvalid, control_bready, control_arvalid, control_arready;
    logic control_rvalid, control_rready;
    logic [31:0] control_wdata, control_rdata;
    logic [3:0] control_wstrb;
    logic [1:0] control_bresp, control_rresp;

    // constants that the DRAM has no use for
    logic memory_arlock, memory_awlock;
    logic [2:0] memory_arprot, memory_awprot;
    logic [3:0] memory_arcache, memory_awcache, memory_arqos, memory_awqos;
    logic [3:0] memory_arregion, memory_awregion;

    logic memory_awready, memory_wready, memory_bvalid, memory_arready, memory_rvalid, memory_rlast;
    logic [3:0] memory_bid, memory_rid;
    logic [1:0] memory_bresp, memory_rresp;
    logic [AXI_DATA_BITS-1:0] memory_rdata;

    initial begin
        cycle = 0;
        reset = 1;
    end

    always_ff @(posedge clk) begin
        cycle <= cycle + 1;
        reset <= rst;
        memory_awready <= next_memory_awready && !reset;
        memory_wready <= next_memory_wready && !reset;
        memory_bid <= next_memory_bid;
        memory_bresp <= next_memory_bresp;
        memory_bvalid <= next_memory_bvalid && !reset;
        memory_arready <= next_memory_arready && !reset;
        memory_rid <= next_memory_rid;
        memory_rdata <= next_memory_rdata;
        memory_rresp <= next_memory_rresp;
        memory_rlast <= next_memory_rlast;
        memory_rvalid <= next_memory_rvalid && !reset;
    end

    axi_lite_master control (
        .rst(reset),
        .awaddr(control_awaddr), .awvalid(control_awvalid), .awready(control_awready),
        .wdata(control_wdata), .wstrb(control_wstrb), .wvalid(control_wvalid),
        .wready(control_wready), .bresp(control_bresp), .bvalid(control_bvalid),
        .bready(control_bready), .araddr(control_araddr), .arvalid(control_arvalid),
        .arready(control_arready), .rdata(control_rdata), .rresp(control_rresp),
        .rvalid(control_rvalid), .rready(control_rready),
        .*
    );

    tilewright dut (.rst(reset), .irq(interrupt_line), .*);

    assign retire = `TILEWRIGHT_RETIRE;
endmodule
