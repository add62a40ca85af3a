; large, config digest 519e19dd2e5c44f5
.memory 65536
.address 0x4940
             LOAD dram_address=0x43e0 sram_address=8132 run=120 count0=1 count1=1 count2=1
             LOAD target=WEIGHT dram_address=0x4a0 sram_address=8100 run=163 count0=1 count1=1 count2=1
load_3:      LOAD target=PARAMETER dram_address=0x8000 run=23 count0=1 count1=1 count2=1
             LOAD dram_address=0x8a0 sram_address=16264 run=120 count0=1 count1=1 count2=1
load_5:      LOAD after VECTOR:0 dram_address=0x64a0 run=120 count0=1 count1=1 count2=1
depthwise_1: DEPTHWISE after load_3 kernel_height=2 kernel_width=2 out_height=2 out_width=4 stride_y=1 stride_x=1 origin_x=-1 height=4 width=9 blocks=3 source=8225 source_stride=4 source_pitch=8 weights=9 destination_stride=9
load_6:      LOAD dram_address=0x6820 sram_address=8133 run=15 count0=1 dram_stride0=0xfffffe20 sram_stride0=11 count1=3 dram_stride1=0xfffffe20 sram_stride1=16 count2=2 dram_stride2=0xfffffa60 sram_stride2=19
             DEPTHWISE kernel_height=1 kernel_width=1 out_height=1 out_width=7 stride_y=2 stride_x=3 dilation_y=1 origin_y=-1 origin_x=-3 height=3 width=7 padding=-128 blocks=1 source=8132 source_stride=1 source_pitch=7 destination=1021 destination_stride=8
load_7:      LOAD after depthwise_1 target=PARAMETER dram_address=0x8500 sram_address=5 run=10 count0=1 count1=1 count2=1
             VECTOR after load_5 kernel_height=1 kernel_width=1 out_height=1 out_width=3 dilation_y=2 origin_x=1 height=7 width=16383 padding=127 groups=2 reduction=MAX source=75 source_stride=1 source_pitch=63 operand=8251 operand_stride=5 operand_pitch=5 destination=16333 destination_stride=4 destination_pitch=3 table=21
             LOAD dram_address=0xc9a0 sram_address=8132 run=1 count0=1 dram_stride0=0xffff8400 sram_stride0=21 count1=2 dram_stride1=0x20 sram_stride1=1 count2=2 dram_stride2=0x60 sram_stride2=11
matrix_1:    MATRIX after load_5 kernel_height=2 kernel_width=1 out_height=2 out_width=4 stride_x=1 dilation_y=1 origin_y=-1 height=2 width=1 padding=127 out_blocks=1 in_blocks=1 source=72 source_out_stride=1 source_in_stride=1 source_pitch=1 weights=8164 destination=91 destination_stride=11
             STORE after load_5 dram_address=0xbb60 sram_address=119 run=1 count0=1 dram_stride0=0x2840 sram_stride0=2 count1=1 dram_stride1=0x20 sram_stride1=27 count2=1 dram_stride2=0x40 sram_stride2=24
             LOAD target=WEIGHT dram_address=0x6aa0 sram_address=5405 run=1 count0=3 dram_stride0=0xffffffc0 sram_stride0=1 count1=1 dram_stride1=0xa0 sram_stride1=13 count2=3 dram_stride2=0xa0 sram_stride2=2
vector_2:    VECTOR after load_7 kernel_height=1 kernel_width=1 out_height=2 out_width=2 stride_y=3 stride_x=1 dilation_y=1 dilation_x=2 origin_y=2 origin_x=3 height=1 width=9 padding=-42 groups=1 reduction=MAX source=8251 source_stride=37 source_pitch=9 operand=8185 operand_stride=8 operand_pitch=4 destination=8183 destination_stride=5 destination_pitch=2 parameters=7 table=22
             LOAD after load_3 target=WEIGHT dram_address=0x42a0 sram_address=288 run=1 count0=2 dram_stride0=0x40 sram_stride0=2 count1=1 dram_stride1=0x80 sram_stride1=1 count2=1 dram_stride2=0x6860 sram_stride2=1
load_11:     LOAD dram_address=0x10a0 sram_address=8192 run=36 count0=1 dram_stride0=0x4a0 sram_stride0=31 count1=1 dram_stride1=0x4a0 sram_stride1=36 count2=1 dram_stride2=0x480 sram_stride2=36
vector_3:    VECTOR kernel_height=1 kernel_width=1 out_height=1 out_width=4 stride_y=1 stride_x=3 dilation_y=3 dilation_x=1 origin_y=-1 height=9 width=5 padding=-128 groups=1 combine=ADD source=8132 source_stride=1 source_pitch=5 operand_stride=4 operand_pitch=4 destination=51 destination_stride=7 destination_pitch=6 parameters=7 table=21
             DEPTHWISE out_height=4780 out_width=11109 stride_y=17 stride_x=169 dilation_y=234 origin_y=4298 origin_x=-7221 height=16152 width=11252 padding=-31 blocks=1001 source=30304 source_stride=25743 source_pitch=14233 weights=230 destination=2546 destination_stride=337
             MATRIX after depthwise_1 kernel_height=2 kernel_width=2 out_height=1 out_width=2 stride_y=3 stride_x=1 dilation_x=1 origin_x=3 height=3 width=3 out_blocks=1 in_blocks=1 source=8205 source_out_stride=1 source_in_stride=1 source_pitch=4 weights=8100 destination=18 destination_stride=3 accumulate=1
             STORE after VECTOR:0, load_11, vector_2 dram_address=0xadc0 sram_address=8175 run=28 count0=1 dram_stride0=0x380 sram_stride0=23 count1=1 dram_stride1=0xfffff380 sram_stride1=29 count2=1 dram_stride2=0x28a0 sram_stride2=28
             DEPTHWISE after load_7 kernel_height=2 kernel_width=1 out_height=1 out_width=1 stride_y=1 stride_x=1 dilation_y=1 origin_y=2 origin_x=-1 width=1 padding=-128 blocks=1 source_stride=1 source_pitch=1 weights=10 destination=2047 destination_stride=1
             DEPTHWISE kernel_height=2 kernel_width=2 out_height=1 out_width=2 stride_x=1 dilation_y=2 height=3 padding=127 blocks=1 source=8251 source_stride=7 source_pitch=1 weights=15 destination_stride=5
             MATRIX after load_6 kernel_height=2 kernel_width=1 out_height=1 out_width=5 stride_y=1 stride_x=1 dilation_y=2 dilation_x=3 origin_y=-2 height=5 width=6 padding=127 out_blocks=1 in_blocks=1 source=8138 source_in_stride=27 source_pitch=5 weights=8146 destination=1143 destination_stride=6
             DEPTHWISE kernel_height=1 kernel_width=2 out_height=2 out_width=3 stride_y=1 stride_x=1 dilation_y=3 origin_y=-2 height=4 width=9 padding=-128 blocks=3 source=8132 source_stride=3 source_pitch=8 destination=1021 destination_stride=6
             STORE after vector_3 dram_address=0xde00 sram_address=51 run=3 count0=1 dram_stride0=0x60 sram_stride0=4 count1=3 dram_stride1=0xffffffa0 sram_stride1=4 count2=3 dram_stride2=0x140 sram_stride2=4
             DEPTHWISE after matrix_1 kernel_height=3 kernel_width=1 out_height=1 out_width=3 stride_x=1 dilation_y=1 origin_y=-1 origin_x=3 height=1 width=6 blocks=1 source=16363 source_stride=4 source_pitch=6 destination=91 destination_stride=4 accumulate=1
             DEPTHWISE kernel_height=2 kernel_width=3 out_height=1 out_width=1 stride_y=1 stride_x=2 origin_y=-3 height=5 width=3 padding=99 blocks=1 source=8132 source_stride=3 source_pitch=3 weights=20 destination_stride=4
             VECTOR kernel_height=1 kernel_width=1 out_height=1 out_width=4 stride_y=1 dilation_y=1 dilation_x=1 height=4 width=6 padding=-128 groups=2 combine=MULTIPLY source=113 source_stride=1 source_pitch=7 operand_stride=4 operand_pitch=4 destination=16345 destination_stride=5 destination_pitch=5 table=21
             END
