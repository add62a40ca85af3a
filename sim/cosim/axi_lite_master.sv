// AXI4-Lite master for the test bench: one transaction for every change of request_toggle.
//
// The request is held stable by the writer (cocotb or the C++ main loop) until response_toggle
// equals request_toggle again. Every channel's valid (or ready) comes from a register and can be
// held back by 0 to 15 cycles: request_delays = {response, data, address}.
module axi_lite_master (
    input  logic        clk,
    input  logic        rst,
    input  logic [63:0] cycle,

    input  logic        request_toggle,
    input  logic        request_write,
    input  logic [11:0] request_address,
    input  logic [31:0] request_data,
    input  logic [11:0] request_delays,
    output logic        response_toggle,
    output logic [31:0] response_data,
    output logic [ 1:0] response_code,
    output logic [63:0] response_cycle,   // cycle of the data handshake (write) or address (read)
    output logic        protocol_error,   // sticky: the slave broke a rule

    output logic [11:0] awaddr,
    output logic        awvalid,
    input  logic        awready,
    output logic [31:0] wdata,
    output logic [ 3:0] wstrb,
    output logic        wvalid,
    input  logic        wready,
    input  logic [ 1:0] bresp,
    input  logic        bvalid,
    output logic        bready,
    output logic [11:0] araddr,
    output logic        arvalid,
    input  logic        arready,
    input  logic [31:0] rdata,
    input  logic [ 1:0] rresp,
    input  logic        rvalid,
    output logic        rready
);
    logic busy, address_done, data_done;
    logic [3:0] address_wait, data_wait, response_wait;
    logic stalled_bvalid, stalled_rvalid;
    logic [1:0] stalled_bresp, stalled_rresp;
    logic [31:0] stalled_rdata;

    assign wstrb = 4'hF;

    always_ff @(posedge clk) begin
        if (rst) begin
            busy <= 0;
            awvalid <= 0;
            wvalid <= 0;
            bready <= 0;
            arvalid <= 0;
            rready <= 0;
            response_toggle <= 0;
        end else if (!busy) begin
            if (request_toggle != response_toggle) begin
                busy <= 1;
                address_done <= 0;
                data_done <= !request_write;
                {response_wait, data_wait, address_wait} <= request_delays;
                awaddr <= request_address;
                araddr <= request_address;
                wdata <= request_data;
            end
        end else begin
            if (address_wait != 0) address_wait <= address_wait - 1;
            else if (!address_done && !awvalid && !arvalid) begin
                awvalid <= request_write;
                arvalid <= !request_write;
            end
            if (data_wait != 0) data_wait <= data_wait - 1;
            else if (!data_done && !wvalid) wvalid <= 1;

            if ((awvalid && awready) || (arvalid && arready)) begin
                awvalid <= 0;
                arvalid <= 0;
                address_done <= 1;
                if (!request_write) response_cycle <= cycle;
            end
            if (wvalid && wready) begin
                wvalid <= 0;
                data_done <= 1;
                response_cycle <= cycle;
            end
            if (address_done && data_done) begin
                if (response_wait != 0) response_wait <= response_wait - 1;
                else if (!bready && !rready) begin
                    bready <= request_write;
                    rready <= !request_write;
                end
            end
            if ((bready && bvalid) || (rready && rvalid)) begin
                bready <= 0;
                rready <= 0;
                busy <= 0;
                response_data <= rdata;
                response_code <= request_write ? bresp : rresp;
                response_toggle <= request_toggle;
            end
        end
    end

    // A response needs its request; once valid it stays, unchanged, until it is taken.
    always_ff @(posedge clk) begin
        stalled_bvalid <= bvalid && !bready && !rst;
        stalled_rvalid <= rvalid && !rready && !rst;
        stalled_bresp <= bresp;
        stalled_rresp <= rresp;
        stalled_rdata <= rdata;
        if (rst) protocol_error <= 0;
        else if ((stalled_bvalid && (!bvalid || bresp != stalled_bresp))
            || (stalled_rvalid && (!rvalid || rresp != stalled_rresp || rdata != stalled_rdata))
            || (bvalid && !(busy && request_write && (address_done || (awvalid && awready))
                            && (data_done || (wvalid && wready))))
            || (rvalid && !(busy && !request_write && (address_done || (arvalid && arready)))))
            protocol_error <= 1;
    end
endmodule
