; edge, config digest 38e8b4b886a0a510
.memory 24576
.address 0x4000
; layer 0: conv1
             LOAD target=WEIGHT dram_address=0x2000 run=32 count0=1 count1=1 count2=1
load_2:      LOAD sram_address=128 run=40 count0=1 dram_stride0=0x280 sram_stride0=40 count1=1 count2=1
load_3:      LOAD target=PARAMETER dram_address=0x2100 run=5 count0=1 count1=1 count2=1
load_4:      LOAD dram_address=0xc0 sram_address=168 run=40 count0=1 dram_stride0=0x280 sram_stride0=40 count1=1 count2=1
matrix_1:    MATRIX after load_2 kernel_height=2 kernel_width=1 out_height=3 out_width=8 stride_y=1 stride_x=1 dilation_y=2 dilation_x=1 height=5 width=8 padding=-128 out_blocks=2 in_blocks=1 source=128 source_in_stride=40 source_pitch=8 destination_stride=24
matrix_2:    MATRIX after load_4 kernel_height=2 kernel_width=1 out_height=3 out_width=8 stride_y=1 stride_x=1 dilation_y=2 dilation_x=1 height=5 width=8 padding=-128 out_blocks=2 in_blocks=1 source=168 source_in_stride=40 source_pitch=8 destination=512 destination_stride=24
             VECTOR after load_3, matrix_1 kernel_height=1 kernel_width=1 out_height=3 out_width=8 stride_y=1 stride_x=1 height=3 width=8 groups=4 source_kind=ACCUMULATOR source_stride=24 source_pitch=8 destination_stride=64 destination_pitch=8
load_5:      LOAD after matrix_1 dram_address=0x180 sram_address=128 run=32 count0=1 dram_stride0=0x280 sram_stride0=32 count1=1 count2=1
; layer 1: conv2
load_6:      LOAD target=WEIGHT dram_address=0x21c0 sram_address=32 run=576 count0=1 count1=1 count2=1
; layer 0: conv1
vector_2:    VECTOR after matrix_2 kernel_height=1 kernel_width=1 out_height=3 out_width=8 stride_y=1 stride_x=1 height=3 width=8 groups=4 source_kind=ACCUMULATOR source=512 source_stride=24 source_pitch=8 destination=24 destination_stride=64 destination_pitch=8
matrix_3:    MATRIX after load_5 kernel_height=2 kernel_width=1 out_height=2 out_width=8 stride_y=1 stride_x=1 dilation_y=2 dilation_x=1 height=4 width=8 padding=-128 out_blocks=2 in_blocks=1 source=128 source_in_stride=32 source_pitch=8 destination=1024 destination_stride=16
vector_3:    VECTOR after matrix_3 kernel_height=1 kernel_width=1 out_height=2 out_width=8 stride_y=1 stride_x=1 height=2 width=8 groups=4 source_kind=ACCUMULATOR source=1024 source_stride=16 source_pitch=8 destination=48 destination_stride=64 destination_pitch=8
; layer 1: conv2
load_7:      LOAD target=PARAMETER dram_address=0x33c0 sram_address=5 run=9 count0=1 count1=1 count2=1
; layer 2: pool
load_8:      LOAD target=PARAMETER dram_address=0x3500 sram_address=14 run=2 count0=1 count1=1 count2=1
; layer 3: dense
load_9:      LOAD target=WEIGHT dram_address=0x3540 sram_address=608 run=256 count0=1 count1=1 count2=1
; layer 1: conv2
matrix_4:    MATRIX after load_6, vector_2 kernel_height=3 kernel_width=3 out_height=2 out_width=4 stride_y=2 stride_x=2 dilation_y=1 dilation_x=1 origin_y=-1 origin_x=-1 height=8 width=8 padding=-128 out_blocks=4 in_blocks=2 source_in_stride=64 source_pitch=8 weights=32 destination=1536 destination_stride=8
; layer 3: dense
load_10:     LOAD target=PARAMETER dram_address=0x3d40 sram_address=16 run=5 count0=1 count1=1 count2=1
; layer 1: conv2
matrix_5:    MATRIX after vector_3 kernel_height=3 kernel_width=3 out_height=2 out_width=4 stride_y=2 stride_x=2 dilation_y=1 dilation_x=1 origin_y=3 origin_x=-1 height=8 width=8 padding=-128 out_blocks=4 in_blocks=2 source_in_stride=64 source_pitch=8 weights=32 destination_stride=8
             VECTOR after load_7, matrix_4 kernel_height=1 kernel_width=1 out_height=2 out_width=4 stride_y=1 stride_x=1 height=2 width=4 groups=8 source_kind=ACCUMULATOR source=1536 source_stride=8 source_pitch=4 destination=128 destination_stride=16 destination_pitch=4 parameters=5
vector_5:    VECTOR after matrix_5 kernel_height=1 kernel_width=1 out_height=2 out_width=4 stride_y=1 stride_x=1 height=2 width=4 groups=8 source_kind=ACCUMULATOR source_stride=8 source_pitch=4 destination=136 destination_stride=16 destination_pitch=4 parameters=5
; layer 2: pool
vector_6:    VECTOR after load_8, vector_5 kernel_height=2 kernel_width=2 out_height=2 out_width=2 stride_y=2 stride_x=2 dilation_y=1 dilation_x=1 height=4 width=4 padding=-128 groups=8 reduction=MAX uniform=1 source=128 source_stride=16 source_pitch=4 destination_stride=4 destination_pitch=2 parameters=14
; layer 3: dense
matrix_6:    MATRIX after load_9, vector_6 kernel_height=2 kernel_width=2 out_height=1 out_width=1 stride_y=1 stride_x=1 dilation_y=1 dilation_x=1 height=2 width=2 padding=-128 out_blocks=2 in_blocks=4 source_in_stride=4 source_pitch=2 weights=608 destination=512 destination_stride=1
vector_7:    VECTOR after load_10, matrix_6 kernel_height=1 kernel_width=1 out_height=1 out_width=1 stride_y=1 stride_x=1 height=1 width=1 groups=4 source_kind=ACCUMULATOR source=512 source_stride=1 source_pitch=1 destination=16 destination_stride=1 destination_pitch=1 parameters=16
             STORE after vector_7 dram_address=0x1000 sram_address=16 run=2 count0=1 count1=1 count2=1
             END
