// Stand-in for the accelerator, with its ports and the few registers that the bench uses: a copier
// that reads num_bursts bursts into an SRAM of 256 words, writes them elsewhere, and does so
// `repeats` times. Its 64-byte "program" holds eight 32-bit words: source, destination,
// num_bursts, beats per burst, repeats, misbehaviour (see the localparams). While it is busy,
// WORK dot products of 16 int8 terms run on pseudo-random numbers, to give the simulator a load.
module standin_tile (input clk, input run, input [127:0] a, input [127:0] b, output reg [31:0] sum);
    reg [15:0] product [0:15];
    integer i;
    reg [31:0] total;
    always @(posedge clk) if (run) begin
        total = 0;
        for (i = 0; i < 16; i = i + 1) begin
            product[i] <= $signed(a[8*i +: 8]) * $signed(b[8*i +: 8]);
            total = total + {{16{product[i][15]}}, product[i]};
        end
        sum <= sum + total;
    end
endmodule

module tilewright #(parameter A = 32, parameter D = 128, parameter WORK = 1) (
    input clk, input rst, output irq,
    input [11:0] control_awaddr, input control_awvalid, output control_awready,
    input [31:0] control_wdata, input [3:0] control_wstrb, input control_wvalid,
    output control_wready, output [1:0] control_bresp, output reg control_bvalid,
    input control_bready, input [11:0] control_araddr, input control_arvalid,
    output control_arready, output reg [31:0] control_rdata, output [1:0] control_rresp,
    output reg control_rvalid, input control_rready,
    output [3:0] memory_awid, output [A-1:0] memory_awaddr, output [7:0] memory_awlen,
    output [2:0] memory_awsize, output [1:0] memory_awburst, output memory_awvalid,
    input memory_awready, output [D-1:0] memory_wdata, output [D/8-1:0] memory_wstrb,
    output memory_wlast, output memory_wvalid, input memory_wready, input [3:0] memory_bid,
    input [1:0] memory_bresp, input memory_bvalid, output memory_bready,
    output [3:0] memory_arid, output [A-1:0] memory_araddr, output [7:0] memory_arlen,
    output [2:0] memory_arsize, output [1:0] memory_arburst, output memory_arvalid,
    input memory_arready, input [3:0] memory_rid, input [D-1:0] memory_rdata,
    input [1:0] memory_rresp, input memory_rlast, input memory_rvalid, output memory_rready
);
    localparam HANG = 1, EARLY_WLAST = 2, UNSTABLE_ADDRESS = 3, WRAPPING = 4;
    localparam IDLE = 0, FETCH = 1, FETCHING = 2, READ = 3, WRITE = 4, FINISH = 5;
    localparam SIZE = $clog2(D / 8);

    // registers
    reg interrupt_enable, done, fault;
    reg [31:0] program_address, base_low, cycles;
    wire busy;
    wire write = control_awvalid && control_wvalid && !control_bvalid;
    wire start = write && control_awaddr == 12'h040 && control_wdata[0] && !busy;
    assign control_awready = write;
    assign control_wready = write;
    assign control_bresp = 0;
    assign control_arready = !control_rvalid;
    assign control_rresp = 0;
    assign irq = interrupt_enable && (done || fault);

    reg [2:0] state;
    assign busy = state != IDLE;
    reg [511:0] description;
    wire [31:0] source = description[31:0], destination = description[63:32];
    wire [31:0] num_bursts = description[95:64], beats = description[127:96];
    wire [31:0] repeats = description[159:128], misbehaviour = description[191:160];
    reg [31:0] bursts_sent, beats_got, words_sent, addresses_sent, responses, rounds;
    reg [7:0] beat;
    (* keep *) reg [D-1:0] buffer [0:255];
    reg [D-1:0] word;
    reg retire_load, retire_store;
    wire [31:0] burst_bytes = beats * (D / 8);
    wire [31:0] total_beats = num_bursts * beats;
    wire last_beat = {24'b0, beat} + 1 == beats;

    assign memory_arid = state == FETCH ? 0 : 1;
    assign memory_araddr = state == FETCH ? base_low + program_address
        : base_low + source + bursts_sent * burst_bytes
          + (misbehaviour == UNSTABLE_ADDRESS ? {cycles[15:0], 12'b0} : 0);
    assign memory_arlen = state == FETCH ? 512 / D - 1 : beats[7:0] - 1;
    assign memory_arsize = SIZE;
    assign memory_arburst = misbehaviour == WRAPPING && state == READ ? 2 : 1;
    assign memory_arvalid = state == FETCH || (state == READ && bursts_sent != num_bursts);
    assign memory_rready = 1;
    assign memory_awid = 2;
    assign memory_awaddr = base_low + destination + addresses_sent * burst_bytes;
    assign memory_awlen = beats[7:0] - 1;
    assign memory_awsize = SIZE;
    assign memory_awburst = 1;
    assign memory_awvalid = state == WRITE && addresses_sent != num_bursts;
    assign memory_wdata = buffer[words_sent[7:0]];
    assign memory_wstrb = {D/8{1'b1}};
    assign memory_wlast = last_beat || (misbehaviour == EARLY_WLAST && beat == 0);
    assign memory_wvalid = state == WRITE && words_sent != total_beats;
    assign memory_bready = 1;

    always @(posedge clk) begin
        retire_load <= 0;
        retire_store <= 0;
        if (rst) begin
            state <= IDLE;
            {interrupt_enable, done, fault} <= 0;
            {control_bvalid, control_rvalid} <= 0;
        end else begin
            if (write) begin
                control_bvalid <= 1;
                case (control_awaddr)
                    12'h040: if (control_wdata[1] || start) {done, fault} <= 0;
                    12'h048: interrupt_enable <= control_wdata[0];
                    12'h050: program_address <= control_wdata;
                    12'h054: base_low <= control_wdata;
                    default: ;
                endcase
            end else if (control_bready) control_bvalid <= 0;
            if (control_arvalid && control_arready) begin
                control_rvalid <= 1;
                case (control_araddr)
                    12'h000: control_rdata <= 32'h544C5752;
                    12'h008: control_rdata <= 32'h89ABCDEF;
                    12'h00c: control_rdata <= 32'h01234567;
                    12'h044: control_rdata <= {29'b0, fault, done, busy};
                    12'h060: control_rdata <= fault ? 4 : 0;
                    12'h068: control_rdata <= rounds;
                    12'h070: control_rdata <= cycles;
                    12'h320: control_rdata <= sum;
                    default: control_rdata <= 0;
                endcase
            end else if (control_rready) control_rvalid <= 0;

            if (busy) cycles <= cycles + 1;
            if (memory_rvalid && memory_rresp != 0) fault <= 1;
            if (memory_bvalid && memory_bresp != 0) fault <= 1;
            case (state)
                IDLE: if (start) begin
                    state <= FETCH;
                    cycles <= 1;
                    rounds <= 0;
                    beats_got <= 0;
                end
                FETCH: if (memory_arready) state <= FETCHING;
                FETCHING: if (memory_rvalid) begin
                    description <= {memory_rdata, description} >> D;
                    if (memory_rlast) state <= READ;
                    bursts_sent <= 0;
                end
                READ: begin
                    if (memory_arvalid && memory_arready) bursts_sent <= bursts_sent + 1;
                    if (memory_rvalid) begin
                        buffer[beats_got[7:0]] <= memory_rdata;
                        beats_got <= beats_got + 1;
                        if (beats_got + 1 == total_beats) begin
                            retire_load <= 1;
                            state <= WRITE;
                        end
                    end
                    {words_sent, addresses_sent, responses} <= 0;
                    beat <= 0;
                end
                WRITE: begin
                    if (memory_awvalid && memory_awready) addresses_sent <= addresses_sent + 1;
                    if (memory_wvalid && memory_wready) begin
                        words_sent <= words_sent + 1;
                        beat <= last_beat ? 0 : beat + 1;
                    end
                    if (memory_bvalid) begin
                        responses <= responses + 1;
                        if (responses + 1 == num_bursts) begin
                            retire_store <= 1;
                            rounds <= rounds + 1;
                            {beats_got, bursts_sent} <= 0;
                            state <= rounds + 1 < repeats ? READ : FINISH;
                        end
                    end
                end
                FINISH: if (misbehaviour != HANG) begin
                    done <= !fault;
                    state <= IDLE;
                end
                default: state <= IDLE;
            endcase
        end
    end

    // the simulator's load
    reg [127:0] lfsr;
    reg [31:0] sum;
    wire [31:0] sums [0:WORK-1];
    genvar g;
    generate for (g = 0; g < WORK; g = g + 1) begin : work
        standin_tile tile (.clk(clk), .run(busy), .a(lfsr ^ {16{g[7:0]}}),
                           .b({lfsr[63:0], lfsr[127:64]}), .sum(sums[g]));
    end endgenerate
    integer k;
    always @(posedge clk) begin
        if (rst) begin lfsr <= 128'h1; sum <= 0; end
        else if (busy) begin
            lfsr <= {lfsr[126:0], lfsr[127] ^ lfsr[125] ^ lfsr[100] ^ lfsr[98]};
            sum <= sum + sums[cycles % WORK];
        end
    end
endmodule
