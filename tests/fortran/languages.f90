! SPDX-FileCopyrightText: The ddict authors
! SPDX-License-Identifier: Apache-2.0
!
! usage: fortran_languages write       stores values for C++ and Python to read
!        fortran_languages read WHO    reads those that WHO, "cpp" or "python", has stored
!        fortran_languages structures  prints the sizes of the structures of C, as the module has them
program fortran_languages
    use, intrinsic :: iso_c_binding, only: c_bool
    use, intrinsic :: iso_fortran_env, only: int32, int64, real32, real64
    use ddict
    implicit none
    type(dictionary) :: dict
    character(20) :: what, who

    call get_command_argument(1, what)
    call get_command_argument(2, who)
    select case (what)
    case ("structures")
        print "(5(i0, 1x), i0)", ddict_sizes_of_structures
    case ("write")
        call dict%attach()
        call write_all()
        call dict%detach()
    case ("read")
        call dict%attach()
        call read_all(trim(who))
        call dict%detach()
    case default
        error stop "usage: fortran_languages write | read WHO | structures"
    end select

contains

    ! a(i, j, k) is 100 i + 10 j + k, and so on: no two elements are alike, and each says where it belongs.
    subroutine write_all()
        integer :: i, j, k
        call dict%put("fortran text", "Dragon, with a blank ")
        call dict%put("fortran int32", -7_int32)
        call dict%put("fortran int64", 2_int64**40)
        call dict%put("fortran real32", 1.5_real32)
        call dict%put("fortran real64", -0.1_real64)
        call dict%put("fortran int32 1", [(10 * i, i = 1, 4)])
        call dict%put("fortran int64 2", reshape([((int(10 * i + j, int64), i = 1, 2), j = 1, 3)], [2, 3]))
        call dict%put("fortran real32 2", reshape([((real(10 * i + j, real32), i = 1, 2), j = 1, 3)], [2, 3]))
        call dict%put("fortran real64 3", &
                      reshape([(((real(100 * i + 10 * j + k, real64), i = 1, 2), j = 1, 3), k = 1, 4)], [2, 3, 4]))
        call dict%put("fortran complex64", (1.5_real32, -2.0_real32))
        call dict%put("fortran complex128 2", reshape([((cmplx(i, j, real64), i = 1, 2), j = 1, 3)], [2, 3]))
        call dict%put("fortran bool", .true._c_bool)
        call dict%put("fortran bool 1", [logical(c_bool) :: .true., .false., .true.])
        call dict%put("fortran int32 7", reshape([(i, i = 1, 48)], [2, 1, 3, 1, 2, 1, 4]))
        call dict%put(17, 1_int32)
        call dict%put(18_int64, 2_int32)
        call dict%put(2.5_real64, 3_int32)
    end subroutine

    subroutine check(good, what)
        logical, intent(in) :: good
        character(*), intent(in) :: what
        if (.not. good) error stop "fortran_languages: wrong: " // what
    end subroutine

    subroutine read_all(who)
        character(*), intent(in) :: who
        character(:), allocatable :: text
        character(30) :: padded
        integer(int32) :: i32
        integer(int64) :: i64
        real(real32) :: r32
        real(real64) :: r64
        integer(int64) :: vector(3)
        integer(int64), allocatable :: numbers(:)
        complex(real64) :: z
        complex(real32), allocatable :: waves(:, :)
        logical(c_bool) :: flag, flags(3)
        integer(int64), allocatable :: five(:, :, :, :, :)
        real(real64) :: field(2, 3)
        real(real64), allocatable :: found(:, :), cube(:, :, :)
        integer :: i, j, k
        call dict%get_allocatable(who // " text", text)
        call check(text == "Dragon" .and. len(text) == 6, "text")
        call dict%get(who // " text", padded)
        call check(padded == "Dragon", "padded text")
        call dict%get(who // " integer", i32)
        call dict%get(who // " integer", i64)
        call dict%get(who // " integer", r64)
        call check(i32 == 12 .and. i64 == 12 .and. abs(r64 - 12) <= 0, "integer")
        call dict%get(who // " real", r64)
        call dict%get(who // " real", r32)
        call check(abs(r64 - 0.25) <= 0 .and. abs(r32 - 0.25) <= 0, "real")
        call dict%get(who // " vector", vector)
        call check(all(vector == [1, 2, 3]), "vector")
        call dict%get_allocatable(who // " vector", numbers)
        call check(size(numbers) == 3 .and. all(numbers == [1, 2, 3]), "allocatable vector")
        ! There three rows of two: element [j][i] is 10 i + j, counted from 1.
        call dict%get(who // " field", field)
        call dict%get_allocatable(who // " field", found)
        call dict%get_allocatable(who // " cube", cube)
        call check(all(shape(found) == [2, 3]) .and. all(shape(cube) == [2, 3, 4]), "shapes")
        do j = 1, 3
            do i = 1, 2
                call check(abs(field(i, j) - (10 * i + j)) <= 0 .and. abs(found(i, j) - (10 * i + j)) <= 0, "field")
                do k = 1, 4
                    call check(abs(cube(i, j, k) - (100 * i + 10 * j + k)) <= 0, "cube")
                end do
            end do
        end do
        call dict%get(who // " complex", z)
        call check(abs(z - (0.5_real64, 2.0_real64)) <= 0, "complex")
        call dict%get_allocatable(who // " waves", waves)
        call check(all(shape(waves) == [2, 3]), "shape of complex numbers")
        do j = 1, 3
            do i = 1, 2
                call check(abs(waves(i, j) - cmplx(i, j, real32)) <= 0, "array of complex numbers")
            end do
        end do
        call dict%get(who // " flag", flag)
        call dict%get(who // " flags", flags)
        call check(logical(flag .and. flags(1) .and. .not. flags(2) .and. flags(3)), "logical")
        call dict%get_allocatable(who // " five", five)
        call check(all(shape(five) == [5, 4, 3, 2, 1]), "shape of rank 5")
        call check(five(1, 1, 1, 1, 1) == 0 .and. five(2, 1, 1, 1, 1) == 1 .and. five(1, 2, 1, 1, 1) == 5 .and. &
                   five(5, 4, 3, 2, 1) == 119, "rank 5")
        call dict%get(who // " key", i32)
        call check(i32 == 1, "text key")
        call dict%get(merge(19, 20, who == "cpp"), i32)
        call check(i32 == 2, "integer key")
    end subroutine
end program
